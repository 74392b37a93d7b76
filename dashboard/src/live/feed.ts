/** What happened while this page was open, bounded: the latest events, and the calls of the last minute. */
import type { Frame } from '@/api/types';

/** Events that are kept to be shown. */
export const EVENTS_MAX = 60;
/** Calls that are kept to be counted. Above it, rates count the window that these cover. */
export const CALLS_MAX = 20_000;
/** Calls older than this say nothing about now. */
export const WINDOW_MS = 60_000;

export type Event = Exclude<Frame, { type: 'snapshot' | 'resync' | 'health_update' | 'session_updated' }>;

export interface Pulse {
  /** Calls that ended, a second. */
  perSecond: number;
  failedPercent: number;
  p50Us: number;
  p95Us: number;
  calls: number;
}

export interface Call {
  at: number;
  durationUs: number;
  isFailed: boolean;
}

export class Feed {
  #events: readonly Event[] = [];
  #calls: Call[] = [];
  #since: number | undefined;
  readonly #watchers = new Set<() => void>();

  /** The latest events, the newest first. */
  events = (): readonly Event[] => this.#events;

  watch = (watcher: () => void): (() => void) => {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  };

  add(frames: readonly Frame[], now: number): void {
    this.#since ??= now;
    const events: Event[] = [];
    for (const frame of frames) {
      if (frame.type === 'request') {
        this.#calls.push({
          at: now,
          durationUs: frame.data.duration_us,
          isFailed: frame.data.status !== 'success',
        });
      }
      if (isEvent(frame)) events.push(frame);
    }
    if (this.#calls.length > CALLS_MAX) this.#calls = this.#calls.slice(-CALLS_MAX);
    if (events.length === 0) return;
    this.#events = [...events.slice(-EVENTS_MAX).reverse(), ...this.#events].slice(0, EVENTS_MAX);
    for (const watcher of this.#watchers) watcher();
  }

  /** Forgets since when it has listened: what was missed must not count as silence. */
  gap(): void {
    this.#since = undefined;
    this.#calls = [];
  }

  /** Returns how calls went within the last minute, or since listening began if that is less. */
  pulse(now: number): Pulse | undefined {
    if (this.#since === undefined) return undefined;
    this.#calls = this.#calls.filter((call) => now - call.at <= WINDOW_MS);
    const isCut = this.#calls.length === CALLS_MAX;
    return pulseOf(this.#calls, isCut ? (this.#calls[0]?.at ?? now) : this.#since, now);
  }
}

/** Returns how calls of the last minute went; all of those since `since` are known, or of a minute if that is less. */
export function pulseOf(calls: readonly Call[], since: number, now: number): Pulse {
  const span = Math.max(1_000, Math.min(WINDOW_MS, now - since));
  const durations = calls.map((call) => call.durationUs).sort((a, b) => a - b);
  const failed = calls.filter((call) => call.isFailed).length;
  return {
    perSecond: calls.length / (span / 1_000),
    failedPercent: calls.length === 0 ? 0 : (100 * failed) / calls.length,
    p50Us: quantile(durations, 0.5),
    p95Us: quantile(durations, 0.95),
    calls: calls.length,
  };
}

function isEvent(frame: Frame): frame is Event {
  switch (frame.type) {
    case 'session_created':
    case 'session_disconnected':
    case 'session_reconnected':
    case 'request':
      return true;
    case 'snapshot':
    case 'resync':
    case 'health_update':
    case 'session_updated':
      return false;
  }
}

/** The value that `share` of all do not exceed; 0 of none. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}
