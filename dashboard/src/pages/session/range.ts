/** A part of the timeline, in milliseconds since 1970, and how it is changed. */
import type { Request } from '@/api/types';

export interface Range {
  from: number;
  to: number;
}

/** Nothing happens within less that one could tell apart. */
export const SHORTEST_MS = 20;

export function startOf(request: Request): number {
  return Date.parse(request.timestamp);
}

/** From the first thing that happened to the last one's end, with a margin so that nothing sticks to the edge. */
export function wholeRange(requests: readonly Request[], life: readonly { at: number }[] = []): Range {
  let from = Number.POSITIVE_INFINITY;
  let to = Number.NEGATIVE_INFINITY;
  for (const request of requests) {
    const start = startOf(request);
    from = Math.min(from, start);
    to = Math.max(to, start + request.duration_us / 1_000);
  }
  for (const { at } of life) {
    from = Math.min(from, at);
    to = Math.max(to, at);
  }
  if (from > to) return { from: 0, to: SHORTEST_MS };
  const margin = Math.max(SHORTEST_MS, (to - from) * 0.01);
  return { from: from - margin, to: to + margin };
}

export function isWithin(request: Request, { from, to }: Range): boolean {
  const start = startOf(request);
  return start <= to && start + request.duration_us / 1_000 >= from;
}

/** Half as long or twice as long, about the middle, within the whole. `undefined` is the whole. */
export function scaled(range: Range, factor: number, whole: Range): Range | undefined {
  const middle = (range.from + range.to) / 2;
  const half = Math.max(SHORTEST_MS, (range.to - range.from) * factor) / 2;
  return clamped({ from: middle - half, to: middle + half }, whole);
}

/** Earlier (negative) or later, by a share of its length. */
export function moved(range: Range, share: number, whole: Range): Range | undefined {
  const by = (range.to - range.from) * share;
  const room = by < 0 ? whole.from - range.from : whole.to - range.to;
  const step = by < 0 ? Math.max(by, room) : Math.min(by, room);
  return clamped({ from: range.from + step, to: range.to + step }, whole);
}

function clamped(range: Range, whole: Range): Range | undefined {
  const from = Math.max(range.from, whole.from);
  const to = Math.min(range.to, whole.to);
  return from <= whole.from && to >= whole.to ? undefined : { from, to };
}
