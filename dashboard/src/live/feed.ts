/** What happened while this page was open, bounded: the latest events, and the calls of the last minute. */
import type { Frame } from '@/api/types';
import { type Call, KEPT_MS, type Known, type Pulse, pulseOf } from './calls';

/** Events that are kept to be shown. */
export const EVENTS_MAX = 60;
/** Calls that are kept to be counted. Above it, rates count the window that these cover. */
export const CALLS_MAX = 20_000;
export type Event = Exclude<Frame, { type: 'snapshot' | 'resync' | 'health_update' | 'session_updated' }>;

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

  /**
   * Returns how calls went within the last minute, or since listening began if that is less. `before` are calls that
   * are known from elsewhere; those before listening began count as well.
   */
  pulse(now: number, before?: Known): Pulse | undefined {
    const since = this.#since;
    if (since === undefined) return undefined;
    this.#calls = this.#calls.filter((call) => now - call.at <= KEPT_MS);
    if (this.#calls.length === CALLS_MAX) return pulseOf(this.#calls, this.#calls[0]?.at ?? now, now);
    if (!before || before.since >= since) return pulseOf(this.#calls, since, now);
    const earlier = before.calls.filter((call) => call.at < since);
    return pulseOf([...earlier, ...this.#calls], before.since, now);
  }
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
