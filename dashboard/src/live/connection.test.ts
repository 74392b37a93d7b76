import { describe, expect, it } from 'vitest';
import { type Connection, next, pollEveryMs, START, WAIT_MAX_MS, waitMs } from './connection';

const POLLING: Connection = { phase: 'polling', failures: 3, retryAt: 9_000 };
const RETRYING: Connection = { phase: 'retrying', failures: 3 };
const LIVE: Connection = { phase: 'live', failures: 0 };

describe('the connection', () => {
  it('is live from the first frame on, wherever it comes from', () => {
    for (const from of [START, POLLING, RETRYING]) expect(next(from, { type: 'frame' })).toEqual(LIVE);
  });

  it('stays the same object while frames arrive, so that nothing renders', () => {
    expect(next(LIVE, { type: 'frame' })).toBe(LIVE);
  });

  it('polls when it is lost, and says when it tries again', () => {
    expect(next(LIVE, { type: 'lost', now: 1_000, chance: 1 })).toEqual({
      phase: 'polling',
      failures: 1,
      retryAt: 2_000,
    });
    expect(next(RETRYING, { type: 'lost', now: 0, chance: 1 })).toMatchObject({
      failures: 4,
      retryAt: 8_000,
    });
  });

  it('tries again only where it polls', () => {
    expect(next(POLLING, { type: 'retry' })).toEqual(RETRYING);
    expect(next(LIVE, { type: 'retry' })).toBe(LIVE);
    expect(next(START, { type: 'retry' })).toBe(START);
  });

  it('waits longer with every failure, within a bound, and never as long as everybody else', () => {
    expect([1, 2, 3, 4].map((failures) => waitMs(failures, 1))).toEqual([1_000, 2_000, 4_000, 8_000]);
    expect(waitMs(1_000, 1)).toBe(WAIT_MAX_MS);
    expect(waitMs(3, 0)).toBe(2_000);
  });

  it('makes pages poll unless it is live: every 10 s where they are seen, every 30 s where not', () => {
    expect(pollEveryMs('live', true)).toBe(false);
    for (const phase of ['connecting', 'polling', 'retrying'] as const) {
      expect(pollEveryMs(phase, true)).toBe(10_000);
      expect(pollEveryMs(phase, false)).toBe(30_000);
    }
  });
});
