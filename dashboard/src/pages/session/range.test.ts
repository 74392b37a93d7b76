import { expect, it } from 'vitest';
import { requestFrame } from '../../../tests/frames';
import { isWithin, moved, scaled, wholeRange } from './range';

const WHOLE = { from: 0, to: 1_000 };

function request(timestamp: string, duration_us: number) {
  const frame = requestFrame(1, { session_id: 'x', timestamp, duration_us });
  if (frame.type !== 'request') throw new Error('not a request');
  return frame.data;
}

it('reaches from the first start to the last end, and beyond by a margin', () => {
  const range = wholeRange([request('1970-01-01T00:00:10Z', 5_000_000), request('1970-01-01T00:00:05Z', 1)]);
  expect(range).toEqual({ from: 4_900, to: 15_100 });
});

it('is something even where nothing happened', () => {
  const { from, to } = wholeRange([]);
  expect(to).toBeGreaterThan(from);
});

it('holds what reaches into it', () => {
  const long = request('1970-01-01T00:00:01Z', 2_000_000);
  expect(isWithin(long, { from: 2_500, to: 2_600 })).toBe(true);
  expect(isWithin(long, { from: 3_001, to: 4_000 })).toBe(false);
  expect(isWithin(long, { from: 0, to: 999 })).toBe(false);
});

it('is scaled about its middle, and is the whole again when nothing more is left out', () => {
  expect(scaled(WHOLE, 0.5, WHOLE)).toEqual({ from: 250, to: 750 });
  expect(scaled({ from: 250, to: 750 }, 2, WHOLE)).toBeUndefined();
});

it('moves until it meets the end, and keeps its length', () => {
  expect(moved({ from: 250, to: 750 }, 0.25, WHOLE)).toEqual({ from: 375, to: 875 });
  expect(moved({ from: 250, to: 750 }, 5, WHOLE)).toEqual({ from: 500, to: 1_000 });
  expect(moved({ from: 250, to: 750 }, -5, WHOLE)).toEqual({ from: 0, to: 500 });
});
