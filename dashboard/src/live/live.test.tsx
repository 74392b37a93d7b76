import { act, screen, waitFor, within } from '@testing-library/react';
import { expect, it } from 'vitest';
import { healthOf } from '../../mock/reports';
import { show } from '../../tests/app';
import { healthFrame, requestFrame, snapshotFrame } from '../../tests/frames';

it('shows what happens as it happens, and says that it is live', async () => {
  const { sockets, world } = show('/');
  await screen.findByRole('heading', { name: 'Overview' });
  expect(sockets.opened).toHaveLength(1);
  expect(sockets.latest.url).toMatch(/^ws:.*\/api\/mcp\/ws\/sessions$/);
  act(() => sockets.latest.say(snapshotFrame(world)));
  expect(await screen.findByText('live')).toBeDefined();

  const session_id = world.sessions[0]?.session_id ?? '';
  const error_message = '<img src=x onerror=alert(1)>';
  act(() => sockets.latest.say(requestFrame(200, { session_id, tool_name: '<b>bold</b>', error_message })));
  const happening = screen.getByRole('region', { name: 'Happening now' });
  expect(await within(happening).findByText('<b>bold</b>'), 'data is text, never markup').toBeDefined();
  expect(happening.querySelector('b, img')).toBeNull();
});

it('takes figures from frames without asking', async () => {
  const { sockets, world, asked } = show('/');
  await screen.findByRole('heading', { name: 'Overview' });
  act(() => sockets.latest.say(snapshotFrame(world)));
  await screen.findByText('live');
  await waitFor(() => expect(asked.filter(({ path }) => path.endsWith('/sessions/health')).length).toBe(2));
  const health = healthOf(world, Date.now());
  const news = { ...health, status_breakdown: { active: 4321, disconnected: 0, total: 4321 } };
  act(() => sockets.latest.say(healthFrame(300, news)));
  expect((await screen.findAllByText('4,321')).length).toBe(2);
  expect(asked.filter(({ path }) => path.endsWith('/sessions/health')).length).toBe(2);
});

it('says that it polls when the socket is lost, and goes live again when told to', async () => {
  const { sockets, world, person } = show('/');
  await screen.findByRole('heading', { name: 'Overview' });
  act(() => sockets.latest.say(snapshotFrame(world)));
  await screen.findByText('live');
  act(() => sockets.latest.drop());
  expect(await screen.findByText('polling')).toBeDefined();
  await person.click(screen.getByRole('button', { name: 'Reconnect now' }));
  expect(sockets.opened).toHaveLength(2);
  act(() => sockets.latest.say(snapshotFrame(world)));
  expect(await screen.findByText('live')).toBeDefined();
});
