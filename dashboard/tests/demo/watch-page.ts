/** What is put into a page to count what it does. Runs there, so it refers to nothing outside itself. */

export interface Counted {
  /** When the frame that shows a probe had been painted, by the probe's name. */
  painted: Record<string, number>;
  /** How often React changed the page. */
  commits: number;
  /** The most of them within one frame, and in how many frames there were several. */
  commitsMax: number;
  framesWithSeveral: number;
  longTasks: number;
  longestMs: number;
}

export function watchPage(): void {
  const counted: Counted = {
    painted: {},
    commits: 0,
    commitsMax: 0,
    framesWithSeveral: 0,
    longTasks: 0,
    longestMs: 0,
  };
  Object.assign(window, { counted });

  let inFrame = 0;
  const nextFrame = () => {
    inFrame = 0;
    requestAnimationFrame(nextFrame);
  };
  requestAnimationFrame(nextFrame);
  // React tells this hook of each commit, as it does for its developer tools.
  Object.assign(window, {
    __REACT_DEVTOOLS_GLOBAL_HOOK__: {
      supportsFiber: true,
      inject: () => 1,
      onCommitFiberRoot: () => {
        counted.commits += 1;
        inFrame += 1;
        counted.commitsMax = Math.max(counted.commitsMax, inFrame);
        if (inFrame === 2) counted.framesWithSeveral += 1;
      },
      onCommitFiberUnmount: () => {},
      onPostCommitFiberRoot: () => {},
    },
  });

  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) {
      counted.longTasks += 1;
      counted.longestMs = Math.max(counted.longestMs, Math.round(duration));
    }
  }).observe({ type: 'longtask', buffered: true });

  const look = (text: string) => {
    for (const [name] of text.matchAll(/probe-\d+-/g)) {
      if (name in counted.painted) continue;
      counted.painted[name] = Number.NaN;
      // A message that is sent before a frame is painted arrives after it.
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        counted.painted[name] = Date.now();
        port1.close();
      };
      port2.postMessage(null);
    }
  };
  new MutationObserver((changes) => {
    for (const { addedNodes, target } of changes) {
      for (const node of addedNodes) look(node.textContent ?? '');
      if (target.nodeType === Node.TEXT_NODE) look(target.textContent ?? '');
    }
  }).observe(document, { subtree: true, childList: true, characterData: true });
}
