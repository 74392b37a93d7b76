/** Each resource of the API as a query. The first words of a key say what an event makes stale (`live/apply.ts`). */
import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { get, type Parameters } from './call';
import type {
  Analytics,
  Config,
  Disconnected,
  Errors,
  Logs,
  Me,
  Pricing,
  ServerStatus,
  SessionPage,
  Sessions,
  SessionsHealth,
  UsageSummary,
} from './types';

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
  queryFn: ({ signal }) => get<Me>('/me', {}, signal),
  staleTime: Number.POSITIVE_INFINITY,
});

export const status = queryOptions({
  queryKey: ['status'],
  queryFn: ({ signal }) => get<ServerStatus>('/status', {}, signal),
});

export const config = queryOptions({
  queryKey: ['config'],
  queryFn: ({ signal }) => get<Config>('/config', {}, signal),
  staleTime: 300_000,
});

export const health = queryOptions({
  queryKey: HEALTH,
  queryFn: ({ signal }) => get<SessionsHealth>('/sessions/health', {}, signal),
});

export const sessions = (parameters: Parameters) =>
  queryOptions({
    queryKey: [...SESSION_LISTS, parameters],
    queryFn: ({ signal }) => get<Sessions>('/sessions', parameters, signal),
    placeholderData: keepPreviousData,
  });

export const session = (id: string, cursor?: string) =>
  queryOptions({
    queryKey: [...SESSION, id, cursor ?? ''],
    queryFn: ({ signal }) => get<SessionPage>(`/sessions/${encodeURIComponent(id)}`, { cursor }, signal),
    placeholderData: keepPreviousData,
  });

export const disconnected = (days: number, limit: number) =>
  queryOptions({
    queryKey: ['sessions', 'ended', days, limit],
    queryFn: ({ signal }) => get<Disconnected>('/sessions/disconnected', { days, limit }, signal),
  });

export const usage = (days: number) =>
  queryOptions({
    queryKey: [...TOTALS, 'usage', days],
    queryFn: ({ signal }) => get<UsageSummary>('/usage/summary', { days }, signal),
    placeholderData: keepPreviousData,
  });

export const analytics = (days: number) =>
  queryOptions({
    queryKey: [...TOTALS, 'analytics', days],
    queryFn: ({ signal }) => get<Analytics>('/analytics', { days, compare: true }, signal),
    placeholderData: keepPreviousData,
  });

export const logs = (parameters: Parameters) =>
  queryOptions({
    queryKey: [...REQUESTS, 'logs', parameters],
    queryFn: ({ signal }) => get<Logs>('/logs', parameters, signal),
    placeholderData: keepPreviousData,
  });

export const errors = (parameters: Parameters) =>
  queryOptions({
    queryKey: [...REQUESTS, 'errors', parameters],
    queryFn: ({ signal }) => get<Errors>('/errors', parameters, signal),
    placeholderData: keepPreviousData,
  });

export const pricing = queryOptions({
  queryKey: ['pricing'],
  queryFn: ({ signal }) => get<Pricing>('/pricing', {}, signal),
});
