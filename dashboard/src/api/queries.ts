/** Each resource of the API as a query. The first words of a key say what an event makes stale (`live/apply.ts`). */
import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import type { PeriodAsked } from '@/parts/period';
import { answerOf, api } from './call';
import type { paths } from './schema';
import type { SessionPage } from './types';

type Asked<Path extends keyof paths> = paths[Path] extends { get: { parameters: { query?: infer Query } } }
  ? Exclude<Query, undefined>
  : never;

export type SessionsAsked = Asked<'/api/mcp/sessions'>;
export type LogsAsked = Asked<'/api/mcp/logs'>;
export type ErrorsAsked = Asked<'/api/mcp/errors'>;
export type RefusalsAsked = Asked<'/api/mcp/refusals'>;

/** What shows sessions. */
export const SESSIONS = ['sessions'] as const;
/** What shows how sessions are, in one figure each. */
export const HEALTH = ['sessions', 'health'] as const;
/** Lists of sessions. */
export const SESSION_LISTS = ['sessions', 'list'] as const;
/** One session each. */
export const SESSION = ['sessions', 'one'] as const;
/** What lists requests. */
export const REQUESTS = ['requests'] as const;
/** What adds requests up over days: it moves slowly. */
export const TOTALS = ['totals'] as const;

export const me = queryOptions({
  queryKey: ['me'],
  queryFn: ({ signal }) => answerOf(api.GET('/api/mcp/me', { signal })),
  staleTime: Number.POSITIVE_INFINITY,
});

export const status = queryOptions({
  queryKey: ['status'],
  queryFn: ({ signal }) => answerOf(api.GET('/api/mcp/status', { signal })),
});

export const config = queryOptions({
  queryKey: ['config'],
  queryFn: ({ signal }) => answerOf(api.GET('/api/mcp/config', { signal })),
  staleTime: 300_000,
});

export const health = queryOptions({
  queryKey: HEALTH,
  queryFn: ({ signal }) => answerOf(api.GET('/api/mcp/sessions/health', { signal })),
});

export const sessions = (query: SessionsAsked) =>
  queryOptions({
    queryKey: [...SESSION_LISTS, query],
    queryFn: ({ signal }) => answerOf(api.GET('/api/mcp/sessions', { params: { query }, signal })),
    placeholderData: keepPreviousData,
  });

/** As many requests of a session as are asked for at once. */
const REQUESTS_SHOWN = 500;

export const session = (id: string) =>
  queryOptions({
    queryKey: [...SESSION, id],
    queryFn: ({ signal }) =>
      answerOf(
        api.GET('/api/mcp/sessions/{session_id}', {
          params: { path: { session_id: id }, query: { limit: REQUESTS_SHOWN } },
          signal,
        }),
      ),
  });

/** Requests of a session before those that are known. */
export function earlierRequests(id: string, cursor: string): Promise<SessionPage> {
  const params = { path: { session_id: id }, query: { limit: REQUESTS_SHOWN, cursor } };
  return answerOf(api.GET('/api/mcp/sessions/{session_id}', { params }));
}

export const disconnected = (days: number, limit: number) =>
  queryOptions({
    queryKey: ['sessions', 'ended', days, limit],
    queryFn: ({ signal }) =>
      answerOf(api.GET('/api/mcp/sessions/disconnected', { params: { query: { days, limit } }, signal })),
  });

export const usage = (period: PeriodAsked) =>
  queryOptions({
    queryKey: [...TOTALS, 'usage', period],
    queryFn: ({ signal }) =>
      answerOf(api.GET('/api/mcp/usage/summary', { params: { query: period }, signal })),
    placeholderData: keepPreviousData,
  });

export const analytics = (period: PeriodAsked) =>
  queryOptions({
    queryKey: [...TOTALS, 'analytics', period],
    queryFn: ({ signal }) => answerOf(api.GET('/api/mcp/analytics', { params: { query: period }, signal })),
    placeholderData: keepPreviousData,
  });

export const logs = (query: LogsAsked) =>
  queryOptions({
    queryKey: [...REQUESTS, 'logs', query],
    queryFn: ({ signal }) => answerOf(api.GET('/api/mcp/logs', { params: { query }, signal })),
    placeholderData: keepPreviousData,
  });

export const errors = (query: ErrorsAsked) =>
  queryOptions({
    queryKey: [...REQUESTS, 'errors', query],
    queryFn: ({ signal }) => answerOf(api.GET('/api/mcp/errors', { params: { query }, signal })),
    placeholderData: keepPreviousData,
  });

export const refusals = (query: RefusalsAsked) =>
  queryOptions({
    queryKey: ['refusals', query],
    queryFn: ({ signal }) => answerOf(api.GET('/api/mcp/refusals', { params: { query }, signal })),
  });

export const pricing = queryOptions({
  queryKey: ['pricing'],
  queryFn: ({ signal }) => answerOf(api.GET('/api/mcp/pricing', { signal })),
});
