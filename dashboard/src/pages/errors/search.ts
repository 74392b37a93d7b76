/** What the URL says about the list of errors. */
import { oneOf, type RawSearch, textOf } from '@/parts/search-text';

export const SEVERITIES = ['error', 'timeout'] as const;

export interface ErrorsSearch {
  severity?: (typeof SEVERITIES)[number];
  session?: string;
  cursor?: string;
}

export function readErrorsSearch(raw: RawSearch): ErrorsSearch {
  return {
    severity: oneOf(raw['severity'], SEVERITIES),
    session: textOf(raw['session']),
    cursor: textOf(raw['cursor']),
  };
}
