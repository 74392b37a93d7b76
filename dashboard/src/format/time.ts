/** Moments and spans for people. Moments are shown in the viewer's own zone. */

const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'long' });
const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });
const DAY_AND_CLOCK = new Intl.DateTimeFormat(undefined, {
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
});
const MINUTES = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });
const DAY_AND_MINUTES = new Intl.DateTimeFormat(undefined, {
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
});
const DAY = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric', timeZone: 'UTC' });

export function moment(time: string): string {
  return MOMENT.format(new Date(time));
}

/** With the zone's name, for whoever wants to be sure. */
export function exactMoment(time: string): string {
  return EXACT.format(new Date(time));
}

/** Today's moments by the clock alone, others with their day. */
export function shortMoment(time: string, now: number): string {
  const at = new Date(time);
  return at.toDateString() === new Date(now).toDateString() ? CLOCK.format(at) : DAY_AND_CLOCK.format(at);
}

/** The same without seconds. */
export function minuteMoment(time: string, now: number): string {
  const at = new Date(time);
  return at.toDateString() === new Date(now).toDateString() ? MINUTES.format(at) : DAY_AND_MINUTES.format(at);
}

/** A day as the API counts days: in UTC, `2026-01-31`. */
export function utcDay(date: string): string {
  return DAY.format(new Date(`${date}T00:00:00Z`));
}

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY_SECONDS = 24 * HOUR;

/** The two largest units of a span: `41 s`, `6 min 12 s`, `5 h 48 min`, `12 d 3 h`. */
export function span(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < MINUTE) return `${whole} s`;
  if (whole < HOUR) return two(whole, MINUTE, 'min', 1, 's');
  if (whole < DAY_SECONDS) return two(whole, HOUR, 'h', MINUTE, 'min');
  return two(whole, DAY_SECONDS, 'd', HOUR, 'h');
}

function two(seconds: number, large: number, largeName: string, small: number, smallName: string): string {
  const rest = Math.floor((seconds % large) / small);
  const first = `${Math.floor(seconds / large)} ${largeName}`;
  return rest === 0 ? first : `${first} ${rest} ${smallName}`;
}

/** Seconds from a moment to now; a server's clock that runs ahead of ours gives none, not less. */
export function secondsSince(time: string, now: number): number {
  return Math.max(0, (now - Date.parse(time)) / 1_000);
}
