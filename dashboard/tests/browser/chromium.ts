/** The browser that tests and pictures use. */
import { readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium } from 'playwright-core';

const QUIET = [
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
/** Pages that do not come from the server itself may not open sockets to this machine otherwise. */
const LET_OWN_PAGES_IN = ['--disable-features=LocalNetworkAccessChecks'];
const TAKES_FROM_FOLDER = process.env['DASHBOARD_BUILT'] === '1';

export function openBrowser(): Promise<Browser> {
  const args = TAKES_FROM_FOLDER ? [...QUIET, ...LET_OWN_PAGES_IN] : QUIET;
  return chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', args });
}

/** A window of its own, with a login and a storage of its own. */
export async function openContext(browser: Browser, options: BrowserContextOptions): Promise<BrowserContext> {
  const context = await browser.newContext(options);
  if (TAKES_FROM_FOLDER) await takeFromFolder(context);
  return context;
}

const BUILT = join(import.meta.dirname, '../../dist');
const KINDS: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};

/**
 * With `DASHBOARD_BUILT=1` pages are those of `dist/` instead of those that were built into the server: to look at a
 * change without building the server anew. The page's policy stays the server's.
 */
async function takeFromFolder(context: BrowserContext): Promise<void> {
  await context.route(/^[^?]*\/\/[^/]+\/(?!api\/|ws\/)/, async (route) => {
    const { pathname } = new URL(route.request().url());
    const file = extname(pathname) === '' ? 'index.html' : pathname;
    const page = await route.fetch({ url: new URL('/', route.request().url()).href });
    await route.fulfill({
      headers: {
        'content-security-policy': page.headers()['content-security-policy'] ?? '',
        'content-type': KINDS[extname(file)] ?? 'application/octet-stream',
      },
      body: await readFile(join(BUILT, file)),
    });
  });
}
