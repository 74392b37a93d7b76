/** Where moments and durations stand on the timeline. */
import type { Request } from '@/api/types';
import type { Range } from './range';

/** Durations that have a line: from the quickest worth telling apart to a call's usual limit. */
const LINES_US = [100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];
/** A label needs so much room. */
const LABEL_PX = 130;

export function timeScale({ from, to }: Range, left: number, width: number) {
  const perMs = Math.max(1, width - left) / (to - from);
  return {
    x: (time: number) => left + (time - from) * perMs,
    time: (x: number) => from + (Math.max(left, Math.min(width, x)) - left) / perMs,
  };
}

/** The powers of ten that hold all durations. */
export function linesFor(requests: readonly Request[]): readonly number[] {
  const longest = requests.reduce((most, request) => Math.max(most, request.duration_us), 0);
  const above = LINES_US.findIndex((us) => us >= longest);
  return LINES_US.slice(0, Math.max(3, above === -1 ? LINES_US.length : above + 1));
}

/** Longer is higher, between `top` and `bottom`. */
export function heightScale(lines: readonly number[], top: number, bottom: number): (us: number) => number {
  const low = Math.log10(lines[0] ?? 1);
  const high = Math.log10(lines.at(-1) ?? 10);
  return (us) => {
    const share = (Math.log10(Math.max(1, us)) - low) / (high - low);
    return top + (bottom - top) * (1 - Math.min(1, Math.max(0, share)));
  };
}

export function ticks({ from, to }: Range, width: number): number[] {
  const count = Math.max(1, Math.floor(width / LABEL_PX));
  return Array.from({ length: count }, (_, n) => from + ((n + 0.5) * (to - from)) / count);
}
