/** Fetches what events made stale, each key at most once in its time, and never twice at once. */
import { hashKey, type QueryClient, type QueryKey } from '@tanstack/react-query';

/** How often a list may be fetched again under load. */
export const LIST_MS = 1_000;
/** How often what adds up days may be: it moves slowly, and is dear. */
export const TOTALS_MS = 15_000;
/** What happens is told before it is stored, which takes a tenth of a second: an answer at once may not have it. */
export const STORED_MS = 250;
/** Where the store was slower than that, and nothing else happened since. */
const STORED_AT_LAST_MS = 2_000;

interface Entry {
  key: QueryKey;
  everyMs: number;
  /** When it was fetched last. */
  at: number;
  timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer runs out. */
  due: number;
  /** Whether to look once more after the next time, for what was not stored yet. */
  isToLookAgain: boolean;
}

export class Refetch {
  readonly #client: QueryClient;
  /** By key; those of one session each are bounded by the sessions that pages show. */
  readonly #entries = new Map<string, Entry>();

  constructor(client: QueryClient) {
    this.#client = client;
  }

  /**
   * Fetches what is shown under `key` now, or as soon as `everyMs` has passed since the last time; and again later, in
   * case that what happened was not stored yet.
   */
  request(key: QueryKey, everyMs: number): void {
    this.#request(key, everyMs, 0);
  }

  /** The same, but not before what happened is likely to be stored. */
  requestStored(key: QueryKey, everyMs: number): void {
    this.#request(key, everyMs, STORED_MS);
  }

  stop(): void {
    for (const entry of this.#entries.values()) clearTimeout(entry.timer);
    this.#entries.clear();
  }

  #request(key: QueryKey, everyMs: number, notBeforeMs: number): void {
    const name = hashKey(key);
    const entry: Entry = this.#entries.get(name) ?? {
      key,
      everyMs,
      at: Number.NEGATIVE_INFINITY,
      timer: undefined,
      due: 0,
      isToLookAgain: false,
    };
    this.#entries.set(name, entry);
    entry.isToLookAgain = true;
    const wait = Math.max(notBeforeMs, entry.at + everyMs - Date.now());
    if (wait <= 0) this.#fetch(entry);
    else this.#fetchIn(entry, wait);
  }

  /** Sooner, if it would have been later. */
  #fetchIn(entry: Entry, ms: number): void {
    const due = Date.now() + ms;
    if (entry.timer !== undefined && entry.due <= due) return;
    clearTimeout(entry.timer);
    entry.due = due;
    entry.timer = setTimeout(() => this.#fetch(entry), ms);
  }

  #fetch(entry: Entry): void {
    clearTimeout(entry.timer);
    entry.timer = undefined;
    entry.at = Date.now();
    if (this.#client.isFetching({ queryKey: entry.key }) > 0) {
      // An answer that is under way may be older than the event. Cutting it off would starve a slow page.
      this.#fetchIn(entry, entry.everyMs);
      return;
    }
    if (entry.isToLookAgain) {
      entry.isToLookAgain = false;
      this.#fetchIn(entry, Math.max(STORED_AT_LAST_MS, entry.everyMs));
    }
    void this.#client.invalidateQueries({ queryKey: entry.key });
  }
}
