import { expect, it } from 'vitest';
import { Archon } from './archon.ts';
import { atDesk, LIVE_MS } from './desk.ts';

const desk = atDesk();

async function ask(path: string, of = desk.archon) {
  return (await fetch(`${of.url}/api/mcp${path}`)).json();
}

it('finds a session and ends it', async () => {
  const leaving = await desk.archon.connect('zed-to-be-ended');
  await desk.open('/sessions');
  await desk.page.getByRole('textbox', { name: 'Search sessions' }).fill('zed-to-be');
  await desk.page.getByRole('link', { name: leaving.id.slice(0, 8) }).click();
  await desk.page.getByRole('button', { name: 'End session…' }).click();
  await desk.page.getByRole('dialog').getByRole('button', { name: 'End session' }).click();
  await desk.page.getByText('ended by an operator').first().waitFor();
  const { session } = await ask(`/sessions/${leaving.id}`);
  expect(session).toMatchObject({ status: 'disconnected', disconnect_reason: 'operator' });
});

it('ends several at once, for a reason, and nothing before the answer', async () => {
  const leaving = await Promise.all(['herd-1', 'herd-2', 'herd-3'].map((name) => desk.archon.connect(name)));
  await desk.open('/sessions?q=herd-');
  for (const { id } of leaving.slice(0, 2))
    await desk.page.getByRole('checkbox', { name: new RegExp(id) }).check();
  await desk.page.getByRole('button', { name: 'End 2…' }).click();
  const dialog = desk.page.getByRole('dialog', { name: 'End 2 sessions?' });
  await dialog.getByRole('button', { name: 'Keep' }).click();
  await dialog.waitFor({ state: 'detached' });
  for (const { id } of leaving) expect((await ask(`/sessions/${id}`)).session.status).toBe('active');

  await desk.page.getByRole('button', { name: 'End 2…' }).click();
  await dialog.getByRole('combobox', { name: 'Reason' }).click();
  await dialog.getByRole('option', { name: 'Client left' }).click();
  await dialog.getByRole('button', { name: 'End 2 sessions' }).click();
  await dialog.waitFor({ state: 'detached' });
  const ended = await Promise.all(leaving.map(({ id }) => ask(`/sessions/${id}`)));
  expect(ended.map(({ session }) => session.disconnect_reason)).toEqual([
    'client_disconnect',
    'client_disconnect',
    null,
  ]);
});

it('shows somebody else the same when given the link', async () => {
  const one = await desk.archon.connect('shared-agent-1');
  const two = await desk.archon.connect('shared-agent-2');
  await desk.open('/sessions');
  await desk.page.getByRole('radiogroup', { name: 'State' }).getByText('All', { exact: true }).click();
  await desk.page.getByRole('textbox', { name: 'Search sessions' }).fill('shared-agent');
  await desk.page.waitForURL(/q=shared-agent/);
  await desk.page.getByRole('button', { name: 'Connected' }).click();
  await desk.page.waitForURL(/sort=connected_at/);

  const other = await desk.another();
  await other.goto(desk.page.url());
  await other.getByText(two.id.slice(0, 8)).waitFor();
  expect(await other.getByRole('textbox', { name: 'Search sessions' }).inputValue()).toBe('shared-agent');
  expect(await other.getByText(one.id.slice(0, 8)).count()).toBe(1);
  const header = other.getByRole('columnheader', { name: 'Connected' });
  expect(await header.getAttribute('aria-sort')).toBe('descending');
});

it('shows a life of a session, and zooms into it by keyboard', async () => {
  const client = await desk.archon.connect('long-lived');
  for (let n = 0; n < 4; n++) await client.call('find_projects');
  await client.call('heartbeat');
  await desk.open(`/sessions/${client.id}`);
  const timeline = desk.page.getByRole('region', { name: 'Timeline' });
  await timeline.getByText('6 requests').waitFor({ timeout: LIVE_MS });
  await timeline.getByText('connected', { exact: true }).waitFor();
  expect(await timeline.locator('.timeline-heartbeat').count()).toBe(1);
  expect(await timeline.locator('.timeline-mark').count()).toBe(5);
  await timeline.getByRole('img').focus();
  await desk.page.keyboard.press('+');
  await timeline.getByText('requests in this part').waitFor();
  await desk.page.keyboard.press('0');
  await timeline.getByText('6 requests').waitFor();
  await client.leave();
  await timeline.getByText('client left', { exact: true }).waitFor({ timeout: LIVE_MS });
});

it('goes back to the first request of a session that made many', async () => {
  const client = await desk.archon.connect('talkative');
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let n = 0; n < 80; n++) await client.call('find_projects');
    }),
  );
  await desk.open(`/sessions/${client.id}`);
  const timeline = desk.page.getByRole('region', { name: 'Timeline' });
  await timeline.getByText('the latest 500 of 641 requests').waitFor({ timeout: LIVE_MS });
  await timeline.getByRole('button', { name: 'Earlier ones' }).click();
  await timeline.getByText('641 requests').waitFor();
});

it('lets nobody in without the token, and keeps it where scripts cannot read it', async () => {
  const token = 'a-token-of-some-length-for-this-test';
  const guarded = await Archon.start({ environment: { ARCHON_API_TOKEN: token } });
  const { page } = desk;
  try {
    await desk.open('/', guarded);
    await page.getByLabel('API token').fill('wrong');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('alert').waitFor();
    await page.getByLabel('API token').fill(token);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    await desk.isKept('live');

    const kept = await page.evaluate(() =>
      JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }, location.href]),
    );
    expect(kept).not.toContain(token);
    const cookies = await desk.context.cookies();
    expect(cookies.every(({ httpOnly, sameSite }) => httpOnly && sameSite === 'Strict')).toBe(true);
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByLabel('API token').waitFor();
  } finally {
    await guarded.end();
  }
  // The browser says of each refused call that it was refused.
  desk.complaints = desk.complaints.filter((complaint) => !complaint.includes('401'));
});
