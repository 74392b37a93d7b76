/** Takes a picture of each page in both themes: `node tests/demo/pictures.ts FOLDER`, after `cargo build`. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { openBrowser, openContext } from '../browser/chromium.ts';
import { Deployment } from './deployment.ts';

const folder = process.argv[2] ?? 'pictures';
/** So that what happens now has happened for a while. */
const WARM_MS = 65_000;
/** Where clients of the deployment in the pictures would go. */
const ADDRESS = 'https://mcp.acme.example';

interface Picture {
  name: string;
  path: string;
  /** What is done before the picture is taken. */
  prepare?: (page: Page) => Promise<void>;
}

await mkdir(folder, { recursive: true });
const deployment = await Deployment.start({ sessions: 4_200, days: 62 });
const began = Date.now();
const { archon, pictured } = deployment;

const PICTURES: readonly Picture[] = [
  { name: 'overview', path: '/' },
  { name: 'sessions', path: '/sessions?status=all' },
  { name: 'session', path: `/sessions/${pictured}` },
  { name: 'tools', path: '/tools' },
  { name: 'analytics', path: '/analytics' },
  { name: 'logs', path: '/logs' },
  { name: 'errors', path: '/errors' },
  { name: 'costs', path: '/costs' },
  {
    name: 'connect',
    path: '/connect',
    prepare: async (page) => {
      await page.getByLabel('Address').fill(ADDRESS);
      await page.getByRole('button', { name: 'VS Code' }).click();
    },
  },
];

const browser = await openBrowser();
try {
  for (const colorScheme of ['light', 'dark'] as const) {
    const context = await openContext(browser, {
      viewport: { width: 1440, height: 900 },
      colorScheme,
      locale: 'en-GB',
    });
    const page = await context.newPage();
    await page.goto(archon.url);
    await page.waitForTimeout(Math.max(0, began + WARM_MS - Date.now()));
    for (const { name, path, prepare } of PICTURES) {
      await page.goto(archon.url + path);
      await page.getByRole('status').filter({ hasText: 'live' }).waitFor();
      await page.waitForFunction(() => document.querySelector('h1') && !document.querySelector('.loading'));
      await prepare?.(page);
      await page.mouse.move(0, 0);
      // Figures of this moment are counted once a second.
      await page.waitForTimeout(2_500);
      await page.screenshot({ path: join(folder, `${name}-${colorScheme}.png`) });
    }
    await context.close();
  }
} finally {
  await browser.close();
  await deployment.end();
}
