/** One clock for everything that ticks on the page. */
import { useSyncExternalStore } from 'react';
import { beforePaint } from '@/live/paint';

const watchers = new Set<() => void>();
let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;

function watch(watcher: () => void): () => void {
  watchers.add(watcher);
  timer ??= setInterval(() => beforePaint(move), 1_000);
  return () => {
    watchers.delete(watcher);
    if (watchers.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

function move(): void {
  now = Date.now();
  for (const tell of watchers) tell();
}

/** The time, moved on once a second. */
export function useNow(): number {
  return useSyncExternalStore(watch, () => {
    // Nobody moved the clock while nobody watched it.
    if (timer === undefined) now = Math.max(now, Math.floor(Date.now() / 1_000) * 1_000);
    return now;
  });
}
