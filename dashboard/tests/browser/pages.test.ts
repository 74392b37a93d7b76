import AxeBuilder from '@axe-core/playwright';
import { expect, it } from 'vitest';
import type { Client } from './archon.ts';
import { atDesk } from './desk.ts';

const HOSTILE = '<img src=x onerror=alert(1)>';

let client: Client;

const desk = atDesk(async (archon) => {
  client = await archon.connect('claude-code', '2.1.14');
  await archon.connect(HOSTILE, HOSTILE);
  for (let n = 0; n < 5; n++) await client.call('find_projects', { query: 'a' });
  await client.call('manage_task', { action: 'create' });
  await client.call(HOSTILE, { '<b>': HOSTILE });
  await client.call('heartbeat');
});

function paths() {
  return [
    '/',
    '/sessions?status=all',
    `/sessions/${client.id}`,
    '/tools',
    '/analytics',
    '/logs',
    '/errors',
    '/costs',
    '/connect',
  ];
}

it('shows every page, none wider than a phone', async () => {
  await desk.page.setViewportSize({ width: 360, height: 740 });
  for (const path of paths()) {
    await desk.open(path);
    await desk.page.waitForFunction(() => document.querySelector('.loading') === null);
    const tooWide = await desk.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    expect(tooWide, path).toBeLessThanOrEqual(0);
  }
});

it('has nothing serious for axe to find, in either theme', async () => {
  const serious = async (axe: AxeBuilder) => {
    const { violations } = await axe.analyze();
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  };
  for (const path of paths()) {
    await desk.page.emulateMedia({ colorScheme: 'light' });
    await desk.open(path);
    await desk.isKept('live');
    await desk.page.waitForFunction(() => document.querySelector('.loading') === null);
    expect(await serious(new AxeBuilder({ page: desk.page })), `${path} in light`).toEqual([]);
    // The theme changes nothing but colours.
    await desk.page.emulateMedia({ colorScheme: 'dark' });
    await desk.page.waitForFunction(() => document.documentElement.dataset['mantineColorScheme'] === 'dark');
    await desk.page.evaluate(() => Promise.all(document.getAnimations().map(({ finished }) => finished)));
    const colours = new AxeBuilder({ page: desk.page }).withRules(['color-contrast']);
    expect(await serious(colours), `${path} in dark`).toEqual([]);
  }
});

it('shows names of clients and tools as text, whatever they are made of', async () => {
  let opened = 0;
  desk.page.on('dialog', (dialog) => {
    opened += 1;
    void dialog.dismiss();
  });
  for (const path of paths()) {
    await desk.open(path);
    await desk.page.waitForFunction(() => document.querySelector('.loading') === null);
    expect(await desk.page.locator('img[src="x"], main b').count(), path).toBe(0);
  }
  for (const path of ['/sessions?status=all', '/tools', '/logs']) {
    await desk.open(path);
    await desk.page.getByText(HOSTILE).first().waitFor();
  }
  expect(opened).toBe(0);
});

it('loads less than 400 kB before it shows anything', async () => {
  await desk.open('/');
  const bytes = await desk.page.evaluate(() => {
    const files = performance.getEntriesByType('resource') as PerformanceResourceTiming[];
    const ours = files.filter(({ name }) => /\/assets\/|\.js$|\.svg$/.test(new URL(name).pathname));
    return ours.reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0);
  });
  expect(bytes).toBeGreaterThan(50_000);
  expect(bytes).toBeLessThan(400_000);
});

it('shows times in the zone of whoever looks', async () => {
  const times = [];
  for (const timezoneId of ['Asia/Kolkata', 'America/New_York']) {
    const page = await desk.another({ timezoneId, locale: 'en-GB' });
    await page.goto(`${desk.archon.url}/logs?q=heartbeat`);
    const time = page.getByRole('table', { name: 'Requests' }).locator('time').first();
    times.push({ shown: await time.textContent(), meant: await time.getAttribute('datetime') });
  }
  const [kolkata, newYork] = times;
  expect(kolkata?.meant).toBe(newYork?.meant);
  expect(kolkata?.shown).not.toBe(newYork?.shown);
});

it('tells a client where this server is', async () => {
  await desk.open('/connect');
  const endpoint = desk.archon.mcp;
  for (const name of [
    'Claude Code',
    'Claude Desktop',
    'Cursor',
    'VS Code',
    'Windsurf',
    'Codex',
    'Gemini CLI',
  ]) {
    await desk.page.getByRole('button', { name, exact: true }).click();
    await desk.page
      .getByRole('region', { name: `For ${name}` })
      .filter({ hasText: endpoint })
      .waitFor();
  }
  await desk.page.getByLabel('Address').fill('https://mcp.example');
  await desk.page
    .getByRole('region', { name: 'For Gemini CLI' })
    .filter({ hasText: 'https://mcp.example/mcp' })
    .waitFor();
});

it('changes a price, from a day on', async () => {
  await desk.open('/costs');
  await desk.page.getByRole('button', { name: 'Change the price of gpt-5', exact: true }).click();
  const dialog = desk.page.getByRole('dialog');
  await dialog.getByLabel(/input tokens/).fill('4.2');
  await dialog.getByLabel('Holds from').fill('2026-01-02');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await dialog.waitFor({ state: 'detached' });
  const { pricing } = await (await fetch(`${desk.archon.url}/api/mcp/pricing`)).json();
  expect(pricing).toContainEqual(
    expect.objectContaining({
      model_name: 'gpt-5',
      input_price_per_million: 4.2,
      effective_date: '2026-01-02',
    }),
  );
});

it('adds up the days that are asked for', async () => {
  await desk.open('/analytics');
  await desk.page.getByText('From … to').click();
  await desk.page.waitForURL(/from=.*to=/);
  await desk.page.getByLabel('First day, in UTC').fill('2020-01-01');
  await desk.page.getByLabel('Last day, in UTC').fill('2020-01-02');
  await desk.page.waitForURL(/from=2020-01-01&to=2020-01-02/);
  await desk.page.getByText('No requests in this period.').first().waitFor();
});
