/** What frames mean for the cache: two figures are patched, everything else is fetched again by its owner. */
import type { QueryClient } from '@tanstack/react-query';
import { HEALTH, REQUESTS, SESSION, SESSION_LISTS, SESSIONS, TOTALS } from '@/api/queries';
import type { SessionPage, Sessions, SessionsHealth, Time } from '@/api/types';
import type { Gathered } from './gather';
import { LIST_MS, type Refetch, TOTALS_MS } from './refetch';

export function apply({ frames, hasGap }: Gathered, client: QueryClient, refetch: Refetch): void {
  const seen = new Map<string, Time>();
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
      case 'session_disconnected':
      case 'session_reconnected':
        refetch.request(SESSIONS, LIST_MS);
        break;
      case 'request':
        seen.set(frame.data.session_id, frame.timestamp);
        refetch.request(REQUESTS, LIST_MS);
        refetch.request(TOTALS, TOTALS_MS);
        if (isShown(client, frame.data.session_id))
          refetch.request([...SESSION, frame.data.session_id], LIST_MS);
        break;
    }
  }
  if (isEverythingStale) void client.invalidateQueries();
  if (seen.size > 0) patchActivity(client, seen);
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
