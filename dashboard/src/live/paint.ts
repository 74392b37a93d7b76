/** Whatever is to change the page, run in one go before the next paint: then a frame costs one render at most. */
import { flushSync } from 'react-dom';

/** A hidden page paints nothing; it is brought up to date this often. */
export const HIDDEN_MS = 1_000;

let waiting: (() => void)[] = [];
let timer: ReturnType<typeof setTimeout> | undefined;

/** Runs before the next paint, together with all else that waits for it. */
export function beforePaint(run: () => void): void {
  waiting.push(run);
  if (timer !== undefined) return;
  // Both clocks are set where the page is visible: one that is hidden in between would wait for a paint that never
  // comes.
  timer = setTimeout(flush, HIDDEN_MS);
  if (!document.hidden) requestAnimationFrame(flush);
}

function flush(): void {
  if (timer === undefined) return;
  clearTimeout(timer);
  timer = undefined;
  const runs = waiting;
  waiting = [];
  // React would render some of the changes now and others soon after, each time for the same paint.
  flushSync(() => {
    for (const run of runs) runSafely(run);
  });
}

function runSafely(run: () => void): void {
  try {
    run();
  } catch (error) {
    // One that fails must not take the others with it; it is heard of as an error that nobody caught.
    reportError(error);
  }
}
