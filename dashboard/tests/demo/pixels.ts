/**
 * Measures how long an event takes to the screen, and whether anything grows while events go on:
 * `node tests/demo/pixels.ts [minutes] [events a second]`, after `scripts/dashboard` and `cargo build`.
 *
 * From the moment that a call's client has its answer to the moment after the frame that shows it was painted.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { CDPSession, Page } from 'playwright-core';
import { Archon, type Client } from '../browser/archon.ts';
import { openBrowser, openContext } from '../browser/chromium.ts';
import { type Counted, watchPage } from './watch-page.ts';

const minutes = Number(process.argv[2] ?? 1);
const perSecond = Number(process.argv[3] ?? 50);
/** Of the events, every fifth is looked for on the screen. */
const PROBE_EVERY = 5;
const CLIENTS = 20;
/** How often the heap is looked at, after what is garbage was collected. */
const HEAP_MS = minutes > 5 ? 60_000 : 10_000;

const archon = await Archon.start();
const browser = await openBrowser();
const context = await openContext(browser, { viewport: { width: 1440, height: 900 } });
const page = await context.newPage();
await page.addInitScript(watchPage);
const cdp = await page.context().newCDPSession(page);
await page.goto(archon.url);
await page.getByRole('status').filter({ hasText: 'live' }).waitFor();

const clients = await Promise.all(Array.from({ length: CLIENTS }, (_, n) => archon.connect(`agent-${n}`)));
const answered = new Map<string, number>();
/** When each was painted. It is taken out of the page from time to time, where it would grow. */
const painted = new Map<string, number>();
const end = performance.now() + minutes * 60_000;
const [events] = await Promise.all([callUntil(end), watchHeap(page, cdp, end)]);
await wait(2_000);
await report(page, events);
await browser.close();
await archon.end();

/** Calls at a steady rate, whatever each one takes. Returns how many were made. */
async function callUntil(until: number): Promise<number> {
  const start = performance.now();
  const running = new Set<Promise<void>>();
  let n = 0;
  while (performance.now() < until) {
    const due = Math.floor(((performance.now() - start) * perSecond) / 1_000);
    for (; n < due; n++) {
      const client = clients[n % CLIENTS] as Client;
      const call = n % PROBE_EVERY === 0 ? probe(client, n) : client.call('find_projects', {});
      const done: Promise<void> = call.catch(() => {}).finally(() => running.delete(done));
      running.add(done);
    }
    await wait(5);
  }
  await Promise.all(running);
  return n;
}

/** A call that can be told from all others on the screen: its tool, which there is not, has a name of its own. */
async function probe(client: Client, n: number): Promise<void> {
  await client.call(`probe-${n}-`);
  answered.set(`probe-${n}-`, Date.now());
}

async function watchHeap(of: Page, session: CDPSession, until: number): Promise<void> {
  while (performance.now() < until) {
    await wait(Math.min(HEAP_MS, Math.max(0, until - performance.now())));
    const counted = await take(of);
    await session.send('HeapProfiler.collectGarbage');
    const { usedSize } = await session.send('Runtime.getHeapUsage');
    const { nodes, jsEventListeners } = await session.send('Memory.getDOMCounters');
    const heap = (usedSize / 1_048_576).toFixed(2);
    const { commits, commitsMax, framesWithSeveral, longTasks, longestMs } = counted;
    console.log(
      `${new Date().toISOString()} heap ${heap} MB, ${nodes} nodes, ${jsEventListeners} listeners; ` +
        `${commits} renders, at most ${commitsMax} a frame, several in ${framesWithSeveral}; ${longTasks} long tasks, the longest ${longestMs} ms`,
    );
  }
}

/** Takes out of the page what was counted. */
async function take(of: Page): Promise<Counted> {
  const counted = await of.evaluate(() => {
    const { counted } = window as unknown as { counted: Counted };
    const taken = { ...counted, painted: { ...counted.painted } };
    for (const [name, at] of Object.entries(taken.painted))
      if (!Number.isNaN(at)) delete counted.painted[name];
    return taken;
  });
  for (const [name, at] of Object.entries(counted.painted)) painted.set(name, at);
  return counted;
}

async function report(of: Page, events: number): Promise<void> {
  await take(of);
  const delays = [...painted]
    .map(([name, at]) => at - (answered.get(name) ?? Number.NaN))
    .filter((delay) => !Number.isNaN(delay))
    .sort((a, b) => a - b);
  const share = (part: number) => delays[Math.max(0, Math.ceil(delays.length * part) - 1)];
  console.log(
    `${events} events, ${answered.size} looked for, ${delays.length} seen: ` +
      `p50 ${share(0.5)} ms, p90 ${share(0.9)} ms, p99 ${share(0.99)} ms, longest ${delays.at(-1)} ms`,
  );
}
