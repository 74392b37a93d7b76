/** Fetches what events made stale, each key at most once in its time, and never twice at once. */
import { hashKey, type QueryClient, type QueryKey } from '@tanstack/react-query';

/** How often a list may be fetched again under load. */
export const LIST_MS = 1_000;
/** How often what adds up days may be: it moves slowly, and is dear. */
export const TOTALS_MS = 15_000;

interface Entry {
  key: QueryKey;
  everyMs: number;
  /** When it was fetched last. */
  at: number;
  timer: ReturnType<typeof setTimeout> | undefined;
}

export class Refetch {
  readonly #client: QueryClient;
  /** By key; those of one session each are bounded by the sessions that pages show. */
  readonly #entries = new Map<string, Entry>();

  constructor(client: QueryClient) {
    this.#client = client;
  }

  /** Fetches what is shown under `key` now, or as soon as `everyMs` has passed since the last time. */
  request(key: QueryKey, everyMs: number): void {
    const name = hashKey(key);
    const entry = this.#entries.get(name) ?? { key, everyMs, at: Number.NEGATIVE_INFINITY, timer: undefined };
    this.#entries.set(name, entry);
    if (entry.timer !== undefined) return;
    const wait = entry.at + everyMs - Date.now();
    if (wait <= 0) this.#fetch(entry);
    else entry.timer = setTimeout(() => this.#fetch(entry), wait);
  }

  stop(): void {
    for (const entry of this.#entries.values()) clearTimeout(entry.timer);
    this.#entries.clear();
  }

  #fetch(entry: Entry): void {
    entry.timer = undefined;
    entry.at = Date.now();
    if (this.#client.isFetching({ queryKey: entry.key }) > 0) {
      // An answer that is under way may be older than the event. Cutting it off would starve a slow page.
      entry.timer = setTimeout(() => this.#fetch(entry), entry.everyMs);
      return;
    }
    void this.#client.invalidateQueries({ queryKey: entry.key });
  }
}
