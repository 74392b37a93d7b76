import { expect, it } from 'vitest';
import { atDesk, LIVE_MS } from './desk.ts';

const desk = atDesk();

/** Marks the document, so that a reload would show. */
async function mark() {
  await desk.page.evaluate(() => Object.assign(window, { isTheSame: true }));
}

async function isTheSame() {
  return desk.page.evaluate(() => 'isTheSame' in window);
}

it('shows a call as it happens', async () => {
  const client = await desk.archon.connect('caller');
  await desk.open('/');
  await desk.isKept('live');
  await client.call('health_check');
  const happening = desk.page.getByRole('region', { name: 'Happening now' });
  await happening.getByText('health_check').first().waitFor({ timeout: LIVE_MS });
});

it('shows a session that appears, counts its calls, and shows that it has left, without a reload', async () => {
  await desk.open('/sessions?status=all&q=newcomer');
  await desk.isKept('live');
  await mark();
  const client = await desk.archon.connect('newcomer');
  const row = desk.page.getByRole('row').filter({ hasText: client.id.slice(0, 8) });
  await row.filter({ hasText: 'active' }).waitFor({ timeout: LIVE_MS });
  for (let n = 0; n < 7; n++) await client.call('find_projects');
  await row.getByRole('cell', { name: '8', exact: true }).waitFor({ timeout: LIVE_MS });
  await client.leave();
  await row.filter({ hasText: 'client left' }).waitFor({ timeout: LIVE_MS });
  expect(await isTheSame()).toBe(true);
});

it('follows the log, and stands still when told to', async () => {
  const client = await desk.archon.connect('logger');
  await client.call('find_projects');
  await desk.open('/logs');
  await desk.isKept('live');
  const table = desk.page.getByRole('table', { name: 'Requests' });
  await client.call('followed_tool');
  await table.getByText('followed_tool').first().waitFor({ timeout: LIVE_MS });

  await desk.page.getByRole('switch', { name: 'Follow live' }).uncheck();
  await client.call('unseen_tool');
  // Another window shows it, so this one could.
  const other = await desk.another();
  await other.goto(`${desk.archon.url}/logs`);
  await other.getByText('unseen_tool').first().waitFor();
  expect(await table.getByText('unseen_tool').count()).toBe(0);
  await desk.page.getByRole('textbox', { name: 'Search requests' }).fill('unseen_tool');
  await table.getByText('unseen_tool').first().waitFor();
});

it('polls where no socket comes through, and shows what happens all the same', async () => {
  await desk.page.routeWebSocket(/\/ws\/sessions/, (socket) => socket.close());
  await desk.page.clock.install();
  await desk.open('/sessions');
  await desk.isKept('polling');
  const client = await desk.archon.connect('polled');
  const shown = desk.page.getByText(client.id.slice(0, 8));
  expect(await shown.count()).toBe(0);
  // Polling is every ten seconds; this is nine more than the page has seen pass, so at least one poll.
  await desk.page.clock.fastForward(11_000);
  await shown.waitFor({ timeout: LIVE_MS });
});

it('polls while the server is away, is live again by itself, and shows what it missed', async () => {
  await desk.open('/sessions');
  await desk.isKept('live');
  await mark();
  await desk.archon.kill();
  await desk.isKept('polling');
  await desk.archon.startAgain();
  const client = await desk.archon.connect('while-away');
  await desk.isKept('live');
  await desk.page.getByText(client.id.slice(0, 8)).waitFor({ timeout: LIVE_MS });
  expect(await isTheSame()).toBe(true);
});

it('renders at most once a frame however much happens', async () => {
  await desk.page.addInitScript(() => {
    const counted = { commits: 0, most: 0, inFrame: 0 };
    Object.assign(window, { counted });
    const next = () => {
      counted.inFrame = 0;
      requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
    Object.assign(window, {
      __REACT_DEVTOOLS_GLOBAL_HOOK__: {
        supportsFiber: true,
        inject: () => 1,
        onCommitFiberUnmount: () => {},
        onPostCommitFiberRoot: () => {},
        onCommitFiberRoot: () => {
          counted.commits += 1;
          counted.inFrame += 1;
          counted.most = Math.max(counted.most, counted.inFrame);
        },
      },
    });
  });
  const clients = await Promise.all(Array.from({ length: 5 }, (_, n) => desk.archon.connect(`busy-${n}`)));
  await desk.open('/');
  await desk.isKept('live');
  await desk.page.waitForFunction(() => document.querySelector('.loading') === null);
  // A page that has just been opened is put together step by step.
  await clients[0]?.call('first_of_many');
  await desk.page.getByText('first_of_many').first().waitFor({ timeout: LIVE_MS });
  await desk.page.evaluate(() => {
    const { counted } = window as unknown as { counted: { commits: number; most: number } };
    Object.assign(counted, { commits: 0, most: 0 });
  });
  await Promise.all(
    clients.map(async (client) => {
      for (let n = 0; n < 40; n++) await client.call('find_projects');
    }),
  );
  await clients[0]?.call('last_of_many');
  await desk.page.getByText('last_of_many').first().waitFor({ timeout: LIVE_MS });
  const { commits, most } = await desk.page.evaluate(
    () => (window as unknown as { counted: { commits: number; most: number } }).counted,
  );
  expect(commits).toBeGreaterThan(1);
  expect(most).toBe(1);
});
