import { expect, it } from 'vitest';
import { healthOf } from '../../mock/reports';
import { healthFrame, NOW, requestFrame, world } from '../../tests/frames';
import { quantile } from './calls';
import { CALLS_MAX, EVENTS_MAX, Feed } from './feed';

const ID = '00000000-0000-4000-8000-000000000001';

it('keeps the latest events, the newest first, within its bound', () => {
  const feed = new Feed();
  feed.add(
    Array.from({ length: EVENTS_MAX + 5 }, (_, seq) => requestFrame(seq, { session_id: ID })),
    NOW,
  );
  expect(feed.events()).toHaveLength(EVENTS_MAX);
  expect(feed.events()[0]?.seq).toBe(EVENTS_MAX + 4);
});

it('knows nothing about calls before it has listened', () => {
  expect(new Feed().pulse(NOW)).toBeUndefined();
});

it('counts the calls of the last minute', () => {
  const feed = new Feed();
  feed.add([healthFrame(1, healthOf(world(), NOW))], NOW - 120_000);
  feed.add([requestFrame(2, { session_id: ID })], NOW - 61_000);
  const calls = [1_000, 2_000, 3_000, 90_000].map((duration_us, n) =>
    requestFrame(3 + n, { session_id: ID, duration_us, status: n === 3 ? 'error' : 'success' }),
  );
  feed.add(calls, NOW - 10_000);
  expect(feed.pulse(NOW)).toMatchObject({
    perSecond: 4 / 60,
    failedPercent: 25,
    p50Us: 2_000,
    p95Us: 90_000,
    calls: 4,
  });
});

it('does not take for silence what it missed', () => {
  const feed = new Feed();
  feed.add([requestFrame(1, { session_id: ID })], NOW - 30_000);
  feed.gap();
  expect(feed.pulse(NOW)).toBeUndefined();
  feed.add([requestFrame(9, { session_id: ID })], NOW - 2_000);
  expect(feed.pulse(NOW)?.perSecond).toBe(0.5);
});

it('measures a rate over what its bounded calls cover', () => {
  const feed = new Feed();
  const frame = requestFrame(1, { session_id: ID });
  feed.add([frame], NOW - 60_000);
  feed.add(
    Array.from({ length: CALLS_MAX }, () => frame),
    NOW - 10_000,
  );
  expect(feed.pulse(NOW)?.perSecond).toBe(CALLS_MAX / 10);
});

it('counts what is known from before it has listened, once', () => {
  const feed = new Feed();
  feed.add([requestFrame(1, { session_id: ID })], NOW - 10_000);
  const calls = [70_000, 30_000, 10_000].map((ago) => ({
    at: NOW - ago,
    durationUs: 1_000,
    isFailed: false,
  }));
  const pulse = feed.pulse(NOW, { calls, since: NOW - 60_000 });
  expect(pulse).toMatchObject({ calls: 2, perSecond: 2 / 60 });
});

it('draws each second of the last minute that is over', () => {
  const feed = new Feed();
  feed.add([healthFrame(1, healthOf(world(), NOW))], NOW - 120_000);
  feed.add([requestFrame(2, { session_id: ID })], NOW - 60_000);
  feed.add(
    [requestFrame(3, { session_id: ID }), requestFrame(4, { session_id: ID, status: 'timeout' })],
    NOW - 1,
  );
  feed.add([requestFrame(5, { session_id: ID })], NOW);
  const seconds = feed.pulse(NOW)?.seconds ?? [];
  expect(seconds).toHaveLength(60);
  expect(seconds[0]).toMatchObject({ calls: 1, failed: 0 });
  expect(seconds[59]).toMatchObject({ calls: 2, failed: 1 });
  expect(
    seconds.reduce((sum, second) => sum + second.calls, 0),
    'this second is not over',
  ).toBe(3);
});

it('finds quantiles of few and of none', () => {
  expect(quantile([], 0.95)).toBe(0);
  expect(quantile([7], 0.5)).toBe(7);
  expect(quantile([1, 2, 3, 4], 0.5)).toBe(2);
});
