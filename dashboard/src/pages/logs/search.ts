/** What the URL says about the log. */
import type { Level } from '@/api/types';
import { oneOf, type RawSearch, textOf } from '@/parts/search-text';

export const LEVELS: readonly Level[] = ['info', 'warning', 'error'];

export interface LogsSearch {
  level?: Level;
  q?: string;
  session?: string;
  page?: number;
}

export function readLogsSearch(raw: RawSearch): LogsSearch {
  const page = Number(raw['page']);
  return {
    level: oneOf(raw['level'], LEVELS),
    q: textOf(raw['q']),
    session: textOf(raw['session']),
    page: Number.isInteger(page) && page > 1 && page <= 100 ? page : undefined,
  };
}
