/** What the URL says about the list of sessions, so that a view can be shared as a link. */
import type { SessionsAsked } from '@/api/queries';
import { oneOf, type RawSearch, textOf } from '@/parts/search-text';

export const STATUSES = ['active', 'disconnected', 'all'] as const;
export const SORTS = [
  'last_activity',
  'connected_at',
  'client_type',
  'total_requests',
  'total_errors',
  'total_cost',
] as const satisfies readonly SessionsAsked['sort'][];

export interface SessionsSearch {
  status?: (typeof STATUSES)[number];
  client?: string;
  user?: string;
  q?: string;
  sort?: (typeof SORTS)[number];
  order?: 'asc' | 'desc';
  /** Where a later page begins. */
  cursor?: string;
}

/** Rows of a page: a screen or two, and one answer of some 50 KB. */
export const PAGE_ROWS = 50;

export function readSessionsSearch(raw: RawSearch): SessionsSearch {
  return {
    status: oneOf(raw['status'], STATUSES),
    client: textOf(raw['client']),
    user: textOf(raw['user']),
    q: textOf(raw['q']),
    sort: oneOf(raw['sort'], SORTS),
    order: oneOf(raw['order'], ['asc', 'desc']),
    cursor: textOf(raw['cursor']),
  };
}

/** The same in the API's words. */
export function sessionsParameters(search: SessionsSearch): SessionsAsked {
  return {
    status: search.status ?? 'active',
    client_type: search.client,
    user_id: search.user,
    q: search.q,
    sort: search.sort ?? 'last_activity',
    order: search.order ?? 'desc',
    cursor: search.cursor,
    limit: PAGE_ROWS,
  };
}
