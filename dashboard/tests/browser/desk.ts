/** What every test in a browser has: a server, a window, and ears for what the browser complains of. */
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { Archon } from './archon.ts';
import { openBrowser, openContext } from './chromium.ts';

/** From a call's answer to its line on the page, on a busy machine; beside an idle one it is some 50 ms. */
export const LIVE_MS = 15_000;

/** While a server is away, the browser says so itself. */
const AWAY = /ERR_CONNECTION|ERR_EMPTY_RESPONSE|WebSocket connection to/;

export class Desk {
  readonly #options: BrowserContextOptions;
  #browser: Browser | undefined;
  #archon: Archon | undefined;
  #context: BrowserContext | undefined;
  #page: Page | undefined;
  /** What the browser says is wrong; among others, everything that the page's policy forbids. */
  complaints: string[] = [];

  constructor(options: BrowserContextOptions) {
    this.#options = options;
  }

  get archon(): Archon {
    return there(this.#archon);
  }

  get context(): BrowserContext {
    return there(this.#context);
  }

  get page(): Page {
    return there(this.#page);
  }

  /** Shows a page, of this server or another one. */
  async open(path: string, of: Archon = this.archon): Promise<void> {
    await this.page.goto(of.url + path);
    await this.page.getByRole('heading', { level: 1 }).waitFor();
  }

  /** Waits until the page says how it is kept up to date. */
  async isKept(word: 'live' | 'polling'): Promise<void> {
    await this.page.getByRole('status').filter({ hasText: word }).waitFor({ timeout: 60_000 });
  }

  /** Opens another window, for somebody else or somewhere else. */
  async another(options: BrowserContextOptions = {}): Promise<Page> {
    const context = await openContext(there(this.#browser), { ...this.#options, ...options });
    return context.newPage();
  }

  async startAll(): Promise<void> {
    this.#browser = await openBrowser();
    this.#archon = await Archon.start();
  }

  async endAll(): Promise<void> {
    await this.#browser?.close();
    await this.#archon?.end();
  }

  async begin(): Promise<void> {
    this.#context = await openContext(there(this.#browser), this.#options);
    this.#page = await this.#context.newPage();
    this.complaints = [];
    this.#page.on('pageerror', (error) => this.complaints.push(error.message));
    this.#page.on('console', (message) => {
      if (message.type() === 'error' && !AWAY.test(message.text())) this.complaints.push(message.text());
    });
  }

  async end(): Promise<void> {
    for (const context of there(this.#browser).contexts()) await context.close();
    expect(this.complaints, 'the browser complains of nothing').toEqual([]);
  }
}

/** For the tests of one file. `prepare` makes what they look at. */
export function atDesk(prepare: (archon: Archon) => Promise<void> = async () => {}): Desk {
  const desk = new Desk({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce' });
  beforeAll(async () => {
    await desk.startAll();
    await prepare(desk.archon);
  });
  afterAll(() => desk.endAll());
  beforeEach(() => desk.begin());
  afterEach(() => desk.end());
  return desk;
}

function there<Thing>(thing: Thing | undefined): Thing {
  if (thing === undefined) throw new Error('it is not there yet');
  return thing;
}
