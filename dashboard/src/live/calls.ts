/** How calls of the last minute went: pure. */

/** Calls older than this say nothing about now. */
export const WINDOW_MS = 60_000;
/** Seconds that are drawn: those of the window that are over. */
const SECONDS = 60;
/** The first of them began a little before the window. */
export const KEPT_MS = WINDOW_MS + 1_000;

export interface Call {
  /** When it ended. */
  at: number;
  durationUs: number;
  isFailed: boolean;
}

/** Calls, all of those since a moment. */
export interface Known {
  calls: readonly Call[];
  since: number;
}

/** Calls that ended within one second. */
export interface Second {
  /** Counted from 1970. */
  at: number;
  calls: number;
  /** Of them, those that failed. */
  failed: number;
}

export interface Pulse {
  /** Calls that ended, a second. */
  perSecond: number;
  failedPercent: number;
  p50Us: number;
  p95Us: number;
  calls: number;
  /** The seconds of the last minute that are over, the oldest first. */
  seconds: readonly Second[];
}

/** Returns how calls of the last minute went; all of those since `since` are known, or of a minute if that is less. */
export function pulseOf(known: readonly Call[], since: number, now: number): Pulse {
  const calls = known.filter((call) => now - call.at <= WINDOW_MS);
  const span = Math.max(1_000, Math.min(WINDOW_MS, now - since));
  const durations = calls.map((call) => call.durationUs).sort((a, b) => a - b);
  const failed = calls.filter((call) => call.isFailed).length;
  return {
    perSecond: calls.length / (span / 1_000),
    failedPercent: calls.length === 0 ? 0 : (100 * failed) / calls.length,
    p50Us: quantile(durations, 0.5),
    p95Us: quantile(durations, 0.95),
    calls: calls.length,
    seconds: secondsOf(known, now),
  };
}

function secondsOf(calls: readonly Call[], now: number): Second[] {
  const first = Math.floor(now / 1_000) - SECONDS;
  const seconds = Array.from({ length: SECONDS }, (_, n) => ({ at: first + n, calls: 0, failed: 0 }));
  for (const call of calls) {
    const second = seconds[Math.floor(call.at / 1_000) - first];
    if (!second) continue;
    second.calls += 1;
    if (call.isFailed) second.failed += 1;
  }
  return seconds;
}

/** The value that `share` of all do not exceed; 0 of none. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}
