/** Figures for people, in the viewer's own way of writing numbers. */

const WHOLE = new Intl.NumberFormat();
const SHORT = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 });

/** What stands where there is nothing to say. */
export const NOTHING = '–';

export function whole(value: number): string {
  return WHOLE.format(Math.round(value));
}

/** 1,234 stays; 12,345 becomes 12.3K. */
export function short(value: number): string {
  return Math.abs(value) < 10_000 ? whole(value) : SHORT.format(value);
}

export function percent(value: number, digits = 1): string {
  return `${value.toLocaleString(undefined, { minimumFractionDigits: digits, maximumFractionDigits: digits })} %`;
}

/** A rate a second, with as many digits as say something. */
export function rate(perSecond: number): string {
  const digits = perSecond >= 100 ? 0 : perSecond >= 10 ? 1 : 2;
  return perSecond.toLocaleString(undefined, {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/** Dollars: cents for what is worth some, else as many digits as prices of calls have. */
export function dollars(value: number): string {
  if (value === 0) return '$0';
  const digits = Math.abs(value) >= 1 ? 2 : 4;
  if (Math.abs(value) < 0.00005) return '< $0.0001';
  return `$${value.toLocaleString(undefined, { minimumFractionDigits: digits, maximumFractionDigits: digits })}`;
}

const UNITS = ['B', 'KB', 'MB', 'GB'];

export function bytes(value: number): string {
  let left = value;
  let unit = 0;
  while (left >= 1024 && unit < UNITS.length - 1) {
    left /= 1024;
    unit += 1;
  }
  const digits = unit > 0 && left < 10 ? 1 : 0;
  return `${left.toLocaleString(undefined, { maximumFractionDigits: digits })} ${UNITS[unit]}`;
}

/** How long a call took: microseconds up to minutes, three digits that matter. */
export function latency(us: number): string {
  if (us < 1_000) return `${Math.round(us)} µs`;
  if (us < 1_000_000) return `${threeDigits(us / 1_000)} ms`;
  if (us < 60_000_000) return `${threeDigits(us / 1_000_000)} s`;
  return `${threeDigits(us / 60_000_000)} min`;
}

function threeDigits(value: number): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toLocaleString(undefined, { maximumFractionDigits: digits });
}
