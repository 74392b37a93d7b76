import { QueryClient, QueryObserver } from '@tanstack/react-query';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { HEALTH, REQUESTS, SESSION_LISTS } from '@/api/queries';
import type { Frame, Sessions, SessionsHealth } from '@/api/types';
import { healthOf, stored } from '../../mock/reports';
import { healthFrame, NOW, requestFrame, snapshotFrame, world } from '../../tests/frames';
import { apply } from './apply';
import { LIST_MS, Refetch, STORED_MS } from './refetch';

const LATER = '2026-03-01T12:34:56Z';

let client: QueryClient;
let refetch: Refetch;
let stop: (() => void)[];

beforeEach(() => {
  vi.useFakeTimers();
  client = new QueryClient();
  refetch = new Refetch(client);
  stop = [];
});

afterEach(() => {
  for (const end of stop) end();
  refetch.stop();
  client.clear();
  vi.useRealTimers();
});

/** A page shows this query. */
async function show<Data>(queryKey: readonly unknown[], data: Data) {
  const fetch = vi.fn(async () => data);
  const observer = new QueryObserver(client, {
    queryKey,
    queryFn: fetch,
    staleTime: Number.POSITIVE_INFINITY,
  });
  stop.push(observer.subscribe(() => {}));
  await vi.advanceTimersByTimeAsync(0);
  fetch.mockClear();
  return fetch;
}

function hear(...frames: Frame[]) {
  apply({ frames, hasGap: false }, client, refetch);
}

it('takes the health that a frame brings', async () => {
  await show(HEALTH, healthOf(world(), NOW));
  const news = { ...healthOf(world(), NOW), timestamp: LATER };
  hear(healthFrame(1, news));
  expect(client.getQueryData<SessionsHealth>(HEALTH)?.timestamp).toBe(LATER);
});

it('moves the activity of the row that it is about, and of no other', async () => {
  const { sessions } = snapshotFrame().data;
  const [first, second] = sessions;
  if (!first || !second) throw new Error('the world is empty');
  await show([...SESSION_LISTS, {}], { sessions, total: sessions.length } as Sessions);
  const data = { update_type: 'heartbeat', last_activity: LATER } as const;
  hear({ type: 'session_updated', seq: 1, session_id: first.session_id, data, timestamp: LATER });
  const after = client.getQueryData<Sessions>([...SESSION_LISTS, {}])?.sessions;
  expect(after?.[0]?.last_activity).toBe(LATER);
  expect(after?.[1]).toBe(second);

  const old = { update_type: 'heartbeat', last_activity: '2020-01-01T00:00:00Z' } as const;
  hear({ type: 'session_updated', seq: 2, session_id: first.session_id, data: old, timestamp: LATER });
  expect(client.getQueryData<Sessions>([...SESSION_LISTS, {}])?.sessions).toBe(after);
});

it('ends the session that is shown, and asks for it once that is stored', async () => {
  const of = world();
  const active = of.sessions
    .filter(({ status }) => status === 'active')
    .map((session) => stored(of, session));
  const [first, second] = active;
  if (!first || !second) throw new Error('the world is empty');
  const fetch = await show([...SESSION_LISTS, {}], { sessions: [first, second], total: 2 } as Sessions);
  const data = { reason: 'client_disconnect', total_duration: 12 };
  hear({ type: 'session_disconnected', seq: 1, session_id: first.session_id, data, timestamp: LATER });
  const after = client.getQueryData<Sessions>([...SESSION_LISTS, {}])?.sessions;
  expect(after?.[0]).toMatchObject({
    status: 'disconnected',
    disconnect_reason: 'client_disconnect',
    disconnected_at: LATER,
    total_duration: 12,
  });
  expect(after?.[1]).toBe(second);
  expect(fetch).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(STORED_MS);
  expect(fetch).toHaveBeenCalledTimes(1);
});

it('adds calls to what the listed session used', async () => {
  const of = world();
  const [first, second] = of.sessions.map((session) => stored(of, session));
  if (!first || !second) throw new Error('the world is empty');
  await show([...SESSION_LISTS, {}], { sessions: [first, second], total: 2 } as Sessions);
  const { session_id } = first;
  hear(
    requestFrame(1, { session_id, estimated_cost: 0.25, upstream: 'another' }),
    requestFrame(2, { session_id, status: 'timeout' }),
  );
  const after = client.getQueryData<Sessions>([...SESSION_LISTS, {}])?.sessions;
  expect(after?.[0]).toMatchObject({
    total_requests: first.total_requests + 2,
    total_errors: first.total_errors + 1,
    total_cost: first.total_cost + 0.25,
    upstreams: [...first.upstreams, 'another', ...(first.upstreams.includes('demo') ? [] : ['demo'])],
  });
  expect(after?.[1]).toBe(second);
});

it('fetches lists again when sessions come and go, at most once a second', async () => {
  const fetch = await show([...SESSION_LISTS, {}], { sessions: [] });
  const [session] = snapshotFrame().data.sessions;
  if (!session) throw new Error('the world is empty');
  const created = (seq: number): Frame => ({ type: 'session_created', seq, data: session, timestamp: LATER });
  hear(created(1), created(2));
  await vi.advanceTimersByTimeAsync(0);
  expect(fetch).toHaveBeenCalledTimes(1);
  hear(created(3));
  hear(created(4));
  await vi.advanceTimersByTimeAsync(LIST_MS - 1);
  expect(fetch).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(fetch, 'the last event is not lost').toHaveBeenCalledTimes(2);
});

it('looks for the row of a call once it may be stored, and again later', async () => {
  const fetch = await show([...REQUESTS, 'logs'], {});
  hear(requestFrame(1, { session_id: 'x' }));
  await vi.advanceTimersByTimeAsync(STORED_MS - 1);
  expect(fetch).toHaveBeenCalledTimes(0);
  await vi.advanceTimersByTimeAsync(1);
  expect(fetch).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(fetch, 'once more, and then no more').toHaveBeenCalledTimes(2);
});

it('waits no longer for the next call because it looks again for the last', async () => {
  const fetch = await show([...REQUESTS, 'logs'], {});
  hear(requestFrame(1, { session_id: 'x' }));
  await vi.advanceTimersByTimeAsync(STORED_MS);
  hear(requestFrame(2, { session_id: 'x' }));
  await vi.advanceTimersByTimeAsync(LIST_MS);
  expect(fetch).toHaveBeenCalledTimes(2);
});

it('does not cut off an answer that is under way', async () => {
  await show([...REQUESTS, 'logs'], {});
  const slow = vi.fn(() => new Promise(() => {}));
  const observer = new QueryObserver(client, { queryKey: [...REQUESTS, 'slow'], queryFn: slow });
  stop.push(observer.subscribe(() => {}));
  hear(requestFrame(1, { session_id: 'x' }));
  await vi.advanceTimersByTimeAsync(LIST_MS * 3);
  expect(slow).toHaveBeenCalledTimes(1);
});

it('fetches everything anew after a snapshot, a resync, or a gap', async () => {
  const fetch = await show(['anything'], {});
  hear(snapshotFrame());
  await vi.advanceTimersByTimeAsync(0);
  hear({ ...snapshotFrame(), type: 'resync' });
  await vi.advanceTimersByTimeAsync(0);
  apply({ frames: [], hasGap: true }, client, refetch);
  await vi.advanceTimersByTimeAsync(0);
  expect(fetch).toHaveBeenCalledTimes(3);
});
