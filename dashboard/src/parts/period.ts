/** The days that a page looks back over, as they stand in its URL: the last so many, or from one to another. */
import { type RawSearch, textOf } from './search-text';

export const DAYS = [1, 7, 30, 90] as const;
export type Days = (typeof DAYS)[number];

export interface PeriodSearch {
  days?: Days;
  /** The first day, in UTC, as `2026-01-31`. Counts only together with `to`. */
  from?: string;
  /** The last one. */
  to?: string;
}

/** What the API is asked for. */
export type PeriodAsked = { days: number } | { start_date: string; end_date: string };

/** What a page shows unless it is asked for something else. */
export const DAYS_USUAL: Days = 30;

export function readPeriodSearch(raw: RawSearch): PeriodSearch {
  const from = day(raw['from']);
  const to = day(raw['to']);
  if (from !== undefined && to !== undefined && from <= to) return { days: undefined, from, to };
  const days = DAYS.find((choice) => String(choice) === String(raw['days']));
  return { days: days === DAYS_USUAL ? undefined : days, from: undefined, to: undefined };
}

export function periodAsked({ days, from, to }: PeriodSearch): PeriodAsked {
  return from !== undefined && to !== undefined
    ? { start_date: from, end_date: to }
    : { days: days ?? DAYS_USUAL };
}

/** Today in UTC, or so many days before. */
export function utcToday(daysBefore = 0): string {
  return new Date(Date.now() - daysBefore * 86_400_000).toISOString().slice(0, 10);
}

function day(value: unknown): string | undefined {
  const text = textOf(value);
  return text !== undefined && /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(text))
    ? text
    : undefined;
}
