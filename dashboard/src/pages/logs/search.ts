/** What the URL says about the log. */
import type { Level } from '@/api/types';
import { oneOf, type RawSearch, textOf } from '@/parts/search-text';

export const LEVELS: readonly Level[] = ['info', 'warning', 'error'];

export interface LogsSearch {
  level?: Level;
  q?: string;
  session?: string;
  /** Where an earlier page begins. */
  cursor?: string;
}

export function readLogsSearch(raw: RawSearch): LogsSearch {
  return {
    level: oneOf(raw['level'], LEVELS),
    q: textOf(raw['q']),
    session: textOf(raw['session']),
    cursor: textOf(raw['cursor']),
  };
}
