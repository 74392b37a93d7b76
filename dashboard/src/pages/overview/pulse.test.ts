import { expect, it } from 'vitest';
import { NOW, requestFrame } from '../../../tests/frames';
import { pulseOf } from '../../live/calls';
import { callsOfLines } from './pulse';

function line(secondsAgo: number, duration_us: number, status: 'success' | 'error' = 'success') {
  const timestamp = new Date(NOW - secondsAgo * 1_000).toISOString();
  const frame = requestFrame(1, { session_id: 'x', timestamp, duration_us, status });
  if (frame.type !== 'request') throw new Error('not a request');
  return frame.data;
}

function pulse(lines: ReturnType<typeof line>[], linesMax: number) {
  const { calls, since } = callsOfLines(lines, linesMax);
  return pulseOf(calls, since, NOW);
}

it('counts the lines of the last minute', () => {
  const lines = [line(1, 3_000), line(30, 1_000, 'error'), line(61, 90_000)];
  expect(pulse(lines, 500)).toMatchObject({
    perSecond: 2 / 60,
    failedPercent: 50,
    p50Us: 1_000,
    p95Us: 3_000,
    calls: 2,
  });
});

it('takes the time that its lines cover where a minute has more', () => {
  expect(pulse([line(1, 1), line(2, 1), line(4, 1)], 3).perSecond).toBe(3 / 4);
});

it('counts a call when it ended', () => {
  expect(pulse([line(70, 30_000_000)], 500).calls).toBe(1);
});
