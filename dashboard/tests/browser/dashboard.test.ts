import AxeBuilder from '@axe-core/playwright';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { Archon, type Client } from './archon';
import { openBrowser, openContext } from './chromium';

const PAGES = ['/', '/sessions?status=all', '/tools', '/analytics', '/logs', '/errors', '/costs', '/connect'];
/** From a call's answer to its line on the page, on a busy machine; beside an idle one it is some 50 ms. */
const LIVE_MS = 5_000;

let browser: Browser;
let archon: Archon;
let client: Client;
let context: BrowserContext;
let page: Page;
let complaints: string[];

beforeAll(async () => {
  browser = await openBrowser();
  archon = await Archon.start();
  client = await archon.connect('claude-code', '2.1.14');
  await archon.connect('<img src=x onerror=alert(1)>');
  for (let n = 0; n < 5; n++) await client.call('find_projects', { query: 'a' });
  await client.call('manage_task', { action: 'create' });
});

afterAll(async () => {
  await browser?.close();
  await archon?.end();
});

beforeEach(async () => {
  context = await openContext(browser, { viewport: { width: 1280, height: 800 } });
  page = await context.newPage();
  complaints = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    // Among others, everything that the policy forbids.
    if (message.type() === 'error') complaints.push(message.text());
  });
});

afterEach(() => context.close());

async function open(path: string, of = archon) {
  await page.goto(of.url + path);
  await page.getByRole('heading', { level: 1 }).waitFor();
}

it('shows every page without a complaint of the browser, and none wider than a phone', async () => {
  for (const path of [...PAGES, `/sessions/${client.id}`]) {
    await page.setViewportSize({ width: 360, height: 740 });
    await open(path);
    await page.waitForLoadState('networkidle').catch(() => {});
    const tooWide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    expect(tooWide, path).toBeLessThanOrEqual(0);
  }
  expect(complaints).toEqual([]);
});

it('has nothing serious for axe to find, in either theme', async () => {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    for (const path of [...PAGES, `/sessions/${client.id}`]) {
      await open(path);
      await page.getByRole('status').filter({ hasText: 'live' }).waitFor();
      const { violations } = await new AxeBuilder({ page }).analyze();
      const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
      const told = serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
      expect(told, `${path} ${colorScheme}`).toEqual([]);
    }
  }
});

it('shows a call as it happens', async () => {
  await open('/');
  await page.getByRole('status').filter({ hasText: 'live' }).waitFor();
  const happening = page.getByRole('region', { name: 'Happening now' });
  await client.call('health_check');
  await happening.getByText('health_check').first().waitFor({ timeout: LIVE_MS });
});

it('finds a session and ends it', async () => {
  const leaving = await archon.connect('zed-to-be-ended');
  await open('/sessions');
  await page.getByRole('textbox', { name: 'Search sessions' }).fill('zed-to-be');
  await page.getByRole('link', { name: leaving.id.slice(0, 8) }).click();
  await page.getByRole('button', { name: 'End session…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'End session' }).click();
  await page.getByText('ended by an operator').waitFor();
  const { session } = await (await fetch(`${archon.url}/api/mcp/sessions/${leaving.id}`)).json();
  expect(session).toMatchObject({ status: 'disconnected', disconnect_reason: 'operator' });
});

it('polls while the server is away, and is live again by itself', async () => {
  await open('/');
  await page.getByRole('status').filter({ hasText: 'live' }).waitFor();
  await archon.kill();
  await page.getByRole('status').filter({ hasText: 'polling' }).waitFor();
  await archon.startAgain();
  await page.getByRole('status').filter({ hasText: 'live' }).waitFor({ timeout: 60_000 });
});

it('lets nobody in without the token, and keeps it where scripts cannot read it', async () => {
  const token = 'a-token-of-some-length-for-this-test';
  const guarded = await Archon.start({ environment: { ARCHON_API_TOKEN: token } });
  try {
    await open('/', guarded);
    await page.getByLabel('API token').fill('wrong');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('alert').waitFor();
    await page.getByLabel('API token').fill(token);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    await page.getByRole('status').filter({ hasText: 'live' }).waitFor();

    const kept = await page.evaluate(() =>
      JSON.stringify([document.cookie, { ...localStorage }, location.href]),
    );
    expect(kept).not.toContain(token);
    const cookies = await context.cookies();
    expect(cookies.every(({ httpOnly, sameSite }) => httpOnly && sameSite === 'Strict')).toBe(true);
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByLabel('API token').waitFor();
  } finally {
    await guarded.end();
  }
});

it('can be used by keyboard alone', async () => {
  await open('/');
  await page.keyboard.press('Tab');
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Skip to the page');
  await page.getByRole('link', { name: 'Sessions', exact: true }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: 'Sessions' }).waitFor();
  await page.getByRole('button', { name: /Connected/ }).focus();
  await page.keyboard.press('Enter');
  await page.waitForURL(/sort=connected_at/);
});
