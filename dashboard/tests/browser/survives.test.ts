/** What an open page lives through: upgrades, long names, narrow windows. */
import type { Route } from 'playwright-core';
import { expect, it } from 'vitest';
import { Archon } from './archon.ts';
import { atDesk } from './desk.ts';

const LONG = 'x'.repeat(131);
const TOKEN = 'a-token-for-this-test-only';

const desk = atDesk(async (archon) => {
  const client = await archon.connect(LONG);
  await client.call(LONG);
  await archon.connect('turned\u202eround');
});

it.each([/assets\/filters-[^/]+\.css$/, /assets\/logs-[^/]+\.js$/])(
  'reloads once where %s of its build is gone',
  async (part) => {
    const page = await desk.another();
    await desk.page.close();
    await page.goto(desk.archon.url);
    await page.getByRole('heading', { level: 1 }).waitFor();
    let isGone = true;
    let loads = 0;
    page.on('load', () => {
      loads += 1;
      isGone = false;
    });
    const answer = (route: Route) => (isGone ? route.fulfill({ status: 404, body: '' }) : route.fallback());
    await page.route(part, answer);
    await page.getByRole('link', { name: 'Logs' }).click();
    await page.getByRole('heading', { level: 1, name: 'Logs' }).waitFor();
    expect(loads).toBe(1);
  },
);

it('keeps its columns beside a long name, and shows no name that turns others round', async () => {
  await desk.page.setViewportSize({ width: 1440, height: 900 });
  await desk.open('/sessions?status=all');
  await desk.page.getByText('turnedround').first().waitFor();
  const overflow = await desk.page.evaluate(() =>
    [...document.querySelectorAll('.table-scroll')].map((table) => table.scrollWidth - table.clientWidth),
  );
  expect(Math.max(...overflow)).toBeLessThanOrEqual(0);
});

it('can be left at every width', async () => {
  const closed = await Archon.start({ environment: { ARCHON_API_TOKEN: TOKEN } });
  try {
    const page = await desk.another();
    await page.goto(closed.url);
    await page.getByLabel(/token/i).first().fill(TOKEN);
    await page.keyboard.press('Enter');
    // By its name: the login page has a heading, too, and to leave that page takes the login back.
    await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
    for (const [width, height] of [
      [360, 640],
      [790, 500],
      [1024, 700],
    ] as const) {
      await page.setViewportSize({ width, height });
      await page.reload();
      await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
      const pages = page.getByRole('button', { name: 'Pages' });
      if (await pages.isVisible()) await pages.click();
      // Fails where something else would be clicked.
      await page.getByRole('button', { name: 'Log out' }).click({ trial: true });
    }
  } finally {
    await closed.end();
  }
});
