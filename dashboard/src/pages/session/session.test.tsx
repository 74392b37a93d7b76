import { screen, waitFor, within } from '@testing-library/react';
import { expect, it } from 'vitest';
import { makeWorld } from '../../../mock/world';
import { show } from '../../../tests/app';

function world() {
  return makeWorld(Date.now(), { sessions: 20, active: 4 });
}

it('shows what the session goes on from, and leads there', async () => {
  const of = world();
  const [session] = of.sessions;
  const { person, history } = show(`/sessions/${session?.session_id}`, { world: of });
  const chain = await screen.findByRole('region', { name: 'Chain' });
  await person.click(within(chain).getByRole('link'));
  await waitFor(() => expect(history.location.pathname).toBe(`/sessions/${session?.continues}`));
});

it('lists what is in the part of the timeline that is zoomed into', async () => {
  const of = world();
  const counts = of.sessions.map(
    (each) => of.requests.filter((request) => request.session_id === each.session_id).length,
  );
  const busiest = of.sessions[counts.indexOf(Math.max(...counts))];
  const { person } = show(`/sessions/${busiest?.session_id}`, { world: of });
  const rows = async () => (await screen.findAllByRole('row')).length;
  const before = await rows();
  for (let n = 0; n < 3; n++) await person.click(screen.getByRole('button', { name: 'Zoom in' }));
  await waitFor(() => expect(screen.getByText(/requests in this part/)).toBeDefined());
  expect(await rows()).toBeLessThan(before);
  await person.click(screen.getByRole('button', { name: 'All' }));
  await waitFor(async () => expect(await rows()).toBe(before));
});

it('says that there is no such session', async () => {
  show('/sessions/00000000-0000-4000-8000-000000000000');
  expect((await screen.findByRole('alert')).textContent).toContain('no session has this id');
});
