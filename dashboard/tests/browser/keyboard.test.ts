import { expect, it } from 'vitest';
import { atDesk } from './desk.ts';

const desk = atDesk(async (archon) => {
  await archon.connect('first-agent');
  await archon.connect('second-agent');
});

/** What has the focus, as it is called. */
async function focused(): Promise<string> {
  return desk.page.evaluate(() => {
    const element = document.activeElement;
    return element?.getAttribute('aria-label') || element?.id || element?.textContent || '';
  });
}

it('skips to the page, and goes from page to page', async () => {
  await desk.open('/');
  await desk.page.keyboard.press('Tab');
  expect(await desk.page.evaluate(() => document.activeElement?.textContent)).toBe('Skip to the page');
  await desk.page.keyboard.press('Enter');
  expect(await focused()).toBe('content');

  await desk.page.getByRole('link', { name: 'Sessions', exact: true }).focus();
  await desk.page.keyboard.press('Enter');
  await desk.page.getByRole('heading', { level: 1, name: 'Sessions' }).waitFor();
  await desk.page.waitForFunction(() => document.activeElement?.id === 'content');
});

it('goes through a page in the order in which it is read', async () => {
  await desk.open('/sessions');
  await desk.page.getByRole('table').waitFor();
  await desk.page.getByRole('link', { name: 'Connect a client' }).focus();
  const seen: string[] = [];
  for (let n = 0; n < 12; n++) {
    await desk.page.keyboard.press('Tab');
    seen.push(await focused());
  }
  const order = ['Client', 'Search sessions', 'Choose all on this page'];
  const found = order.map((name) => seen.indexOf(name));
  expect(found, seen.join(' | ')).toEqual([...found].sort((a, b) => a - b));
  expect(found, seen.join(' | ')).not.toContain(-1);
});

it('sorts, chooses and ends sessions without a pointer, and gives the focus back', async () => {
  await desk.open('/sessions');
  await desk.page.getByRole('button', { name: 'Connected' }).focus();
  await desk.page.keyboard.press('Enter');
  await desk.page.waitForURL(/sort=connected_at/);

  await desk.page.getByRole('checkbox', { name: /first-agent/ }).focus();
  await desk.page.keyboard.press('Space');
  const end = desk.page.getByRole('button', { name: 'End 1…' });
  await end.focus();
  await desk.page.keyboard.press('Enter');
  const dialog = desk.page.getByRole('dialog', { name: 'End this session?' });
  await dialog.waitFor();
  await desk.page.waitForFunction(() => document.activeElement?.textContent === 'Keep');
  for (let n = 0; n < 8; n++) {
    await desk.page.keyboard.press('Tab');
    expect(await dialog.locator(':focus').count(), 'the dialog holds the focus').toBe(1);
  }
  await desk.page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  await desk.page.waitForFunction(() => document.activeElement?.textContent === 'End 1…');
});
