/** What frames mean for the cache: two figures are patched, everything else is fetched again by its owner. */
import type { QueryClient } from '@tanstack/react-query';
import { HEALTH, REQUESTS, SESSION, SESSION_LISTS, SESSIONS, TOTALS } from '@/api/queries';
import type {
  Frame,
  Request,
  Session,
  SessionPage,
  Sessions,
  SessionsHealth,
  StoredSession,
  Time,
} from '@/api/types';
import type { Gathered } from './gather';
import { LIST_MS, type Refetch, TOTALS_MS } from './refetch';

type Ended = Extract<Frame, { type: 'session_disconnected' }>;

export function apply({ frames, hasGap }: Gathered, client: QueryClient, refetch: Refetch): void {
  const seen = new Map<string, Time>();
  const calls: Request[] = [];
  const ended = new Map<string, Ended>();
  let isEverythingStale = hasGap;
  for (const frame of frames) {
    switch (frame.type) {
      case 'snapshot':
      case 'resync':
        client.setQueryData<SessionsHealth>(HEALTH, frame.data.health);
        isEverythingStale = true;
        break;
      case 'health_update':
        client.setQueryData<SessionsHealth>(HEALTH, frame.data);
        break;
      case 'session_updated':
        if (frame.session_id) seen.set(frame.session_id, frame.data.last_activity);
        break;
      case 'session_created':
      case 'session_reconnected':
        refetch.request(SESSIONS, LIST_MS);
        break;
      case 'session_disconnected':
        if (frame.session_id) ended.set(frame.session_id, frame);
        refetch.requestStored(SESSIONS, LIST_MS);
        break;
      case 'request':
        seen.set(frame.data.session_id, frame.timestamp);
        calls.push(frame.data);
        refetch.requestStored(REQUESTS, LIST_MS);
        refetch.requestStored(TOTALS, TOTALS_MS);
        // What is added to rows here is put right by the store's own sums from time to time.
        refetch.requestStored(SESSION_LISTS, TOTALS_MS);
        if (isShown(client, frame.data.session_id))
          refetch.requestStored([...SESSION, frame.data.session_id], LIST_MS);
        break;
    }
  }
  if (isEverythingStale) void client.invalidateQueries();
  if (seen.size > 0) patchActivity(client, seen);
  if (calls.length > 0) addCalls(client, calls);
  if (ended.size > 0) patchEnds(client, ended);
}

function isShown(client: QueryClient, id: string): boolean {
  return (
    client.getQueryCache().find({ queryKey: [...SESSION, id], exact: false, type: 'active' }) !== undefined
  );
}

/** Moves `last_activity` of the sessions that are shown; a row that did not move stays the same object. */
function patchActivity(client: QueryClient, seen: Map<string, Time>): void {
  const moved = <Row extends { session_id: string; last_activity: Time }>(row: Row): Row => {
    const at = seen.get(row.session_id);
    return at !== undefined && at > row.last_activity ? { ...row, last_activity: at } : row;
  };
  client.setQueriesData<Sessions>({ queryKey: SESSION_LISTS, type: 'active' }, (page) => {
    if (!page) return page;
    const sessions = page.sessions.map(moved);
    return sessions.some((row, at) => row !== page.sessions[at]) ? { ...page, sessions } : page;
  });
  client.setQueriesData<SessionPage>({ queryKey: SESSION, type: 'active' }, (page) => {
    if (!page) return page;
    const session = moved(page.session);
    return session === page.session ? page : { ...page, session };
  });
}

/** Ends the sessions that are shown. */
function patchEnds(client: QueryClient, ended: Map<string, Ended>): void {
  const over = <Row extends Session>(row: Row): Row => {
    const end = row.status === 'active' ? ended.get(row.session_id) : undefined;
    if (!end) return row;
    return {
      ...row,
      status: 'disconnected',
      disconnect_reason: end.data.reason,
      disconnected_at: end.timestamp,
      total_duration: end.data.total_duration,
      expires_at: null,
    };
  };
  client.setQueriesData<Sessions>({ queryKey: SESSION_LISTS, type: 'active' }, (page) => {
    if (!page?.sessions.some(({ session_id }) => ended.has(session_id))) return page;
    return { ...page, sessions: page.sessions.map(over) };
  });
  client.setQueriesData<SessionPage>({ queryKey: SESSION, type: 'active' }, (page) => {
    if (!page || !ended.has(page.session.session_id)) return page;
    return { ...page, session: over(page.session) };
  });
}

/** Adds calls to what the listed sessions used. The next answer says it again, from the store. */
function addCalls(client: QueryClient, calls: readonly Request[]): void {
  const bySession = Map.groupBy(calls, (call) => call.session_id);
  client.setQueriesData<Sessions>({ queryKey: SESSION_LISTS, type: 'active' }, (page) => {
    if (!page?.sessions.some(({ session_id }) => bySession.has(session_id))) return page;
    const sessions = page.sessions.map((row) => (bySession.get(row.session_id) ?? []).reduce(withCall, row));
    return { ...page, sessions };
  });
}

function withCall(row: StoredSession, call: Request): StoredSession {
  return {
    ...row,
    total_requests: row.total_requests + 1,
    total_errors: row.total_errors + (call.status === 'success' ? 0 : 1),
    total_prompt_tokens: row.total_prompt_tokens + call.prompt_tokens,
    total_completion_tokens: row.total_completion_tokens + call.completion_tokens,
    total_cost: row.total_cost + call.estimated_cost,
    upstreams: row.upstreams.includes(call.upstream) ? row.upstreams : [...row.upstreams, call.upstream],
  };
}
