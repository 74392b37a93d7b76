import { act, screen, waitFor, within } from '@testing-library/react';
import { expect, it } from 'vitest';
import { makeRequest } from '../../../mock/world';
import { show } from '../../../tests/app';
import { requestFrame, snapshotFrame } from '../../../tests/frames';

function calls(asked: { path: string }[]) {
  return asked.filter(({ path }) => path.includes('/logs?')).length;
}

async function firstRow() {
  const table = await screen.findByRole('table', { name: 'Requests' });
  return within(table).getAllByRole('row')[1]?.textContent;
}

it('follows what happens, and stands still when told to', async () => {
  const { sockets, world, asked, person } = show('/logs');
  const before = await firstRow();
  act(() => sockets.latest.say(snapshotFrame(world)));
  await screen.findByText('Follow live');

  const [session] = world.sessions;
  if (!session) throw new Error('the world is empty');
  const happen = (tool_name: string) => {
    const request = { ...makeRequest(world, session, Date.now()), tool_name, id: world.requests.length + 1 };
    world.requests.push(request);
    act(() => sockets.latest.say(requestFrame(900 + world.requests.length, request)));
  };
  happen('followed_tool');
  await screen.findByText('followed_tool');
  expect(await firstRow()).not.toBe(before);

  await person.click(screen.getByRole('switch', { name: 'Follow live' }));
  await waitFor(() =>
    expect(screen.getByRole('switch', { name: 'Follow live' })).toHaveProperty('checked', false),
  );
  const asksBefore = calls(asked);
  happen('unseen_tool');
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect(screen.queryByText('unseen_tool')).toBeNull();
  expect(calls(asked)).toBe(asksBefore);
});

it('turns pages, and says so in the URL', async () => {
  const { history, person } = show('/logs');
  const before = await firstRow();
  await person.click(screen.getByRole('button', { name: 'Next' }));
  await waitFor(async () => expect(await firstRow()).not.toBe(before));
  expect(history.location.search).toContain('cursor=');
  await person.click(screen.getByRole('button', { name: 'First' }));
  await waitFor(async () => expect(await firstRow()).toBe(before));
});

it('shows one level only', async () => {
  const { history, person } = show('/logs');
  await firstRow();
  await person.click(screen.getByRole('radio', { name: 'Errors' }));
  await waitFor(() => expect(history.location.search).toContain('level=error'));
  await waitFor(() => expect(screen.queryAllByText('info')).toEqual([]));
});
