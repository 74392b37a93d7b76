import { screen, waitFor, within } from '@testing-library/react';
import { expect, it } from 'vitest';
import { show } from '../../../tests/app';

async function rows() {
  const table = await screen.findByRole('table', { name: 'Sessions' });
  return within(table).getAllByRole('row').slice(1);
}

it('shows who is connected, and says how many', async () => {
  show('/sessions');
  expect(await rows()).toHaveLength(8);
  expect(screen.getByText('8 found, 8 active')).toBeDefined();
});

it('finds by words, and puts them into the URL', async () => {
  const { history, person, asked } = show('/sessions?status=all');
  await rows();
  await person.type(screen.getByRole('textbox', { name: 'Search sessions' }), 'cursor');
  await waitFor(async () => expect(history.location.search).toContain('q=cursor'));
  await waitFor(async () => {
    for (const row of await rows()) expect(row.textContent).toContain('Cursor');
  });
  expect(asked.filter(({ path }) => path.includes('q=')).length, 'not one call a letter').toBe(1);
});

it('shows what a shared link says', async () => {
  const { asked } = show('/sessions?status=disconnected&sort=connected_at&order=asc&q=zed');
  await screen.findByRole('table', { name: 'Sessions' });
  const call = asked.find(({ path }) => path.includes('/sessions?'))?.path;
  for (const part of ['status=disconnected', 'sort=connected_at', 'order=asc', 'q=zed'])
    expect(call).toContain(part);
  const header = screen.getByRole('columnheader', { name: /Connected/ });
  expect(header.getAttribute('aria-sort')).toBe('ascending');
});

it('ignores what makes no sense in a link', async () => {
  const { asked } = show('/sessions?status=gone&sort=colour&cursor=');
  await rows();
  const call = asked.find(({ path }) => path.includes('/sessions?'))?.path;
  expect(call).toContain('status=active');
  expect(call).not.toContain('colour');
});

it('sorts on the server', async () => {
  const { history, person } = show('/sessions');
  await rows();
  await person.click(screen.getByRole('button', { name: /Connected/ }));
  await waitFor(() => expect(history.location.search).toContain('sort=connected_at'));
});

it('ends several sessions after a question, for a reason', async () => {
  const { asked, person } = show('/sessions');
  await rows();
  const [, first, second] = screen.getAllByRole('checkbox');
  if (!first || !second) throw new Error('there is nothing to choose');
  await person.click(first);
  await person.click(second);
  await person.click(screen.getByRole('button', { name: 'End 2…' }));
  const dialog = await screen.findByRole('dialog', { name: 'End 2 sessions?' });
  expect(
    asked.some(({ method }) => method === 'POST'),
    'nothing ends before the answer',
  ).toBe(false);
  await person.click(within(dialog).getByRole('button', { name: 'End 2 sessions' }));
  await waitFor(async () => expect(await rows()).toHaveLength(6));
  const ends = asked.filter(({ path }) => path.endsWith('/disconnect'));
  expect(ends.map(({ body }) => body)).toEqual([{ reason: 'operator' }, { reason: 'operator' }]);
  expect(screen.queryByRole('dialog')).toBeNull();
});

it('says which end failed, and why', async () => {
  const { person } = show('/sessions', {
    instead: ({ method }) =>
      method === 'POST'
        ? { status: 503, body: { detail: 'the store is away', code: 'x', hint: 'Try later.' } }
        : undefined,
  });
  await rows();
  const [, first] = screen.getAllByRole('checkbox');
  if (!first) throw new Error('there is nothing to choose');
  await person.click(first);
  await person.click(screen.getByRole('button', { name: 'End 1…' }));
  await person.click(await screen.findByRole('button', { name: 'End session' }));
  const alert = await screen.findByRole('alert');
  expect(alert.textContent).toContain('1 could not be ended: the store is away');
  expect(alert.textContent).toContain('Try later.');
});

it('lets a viewer look and nothing else', async () => {
  show('/sessions', { role: 'viewer' });
  await rows();
  expect(screen.queryByRole('checkbox')).toBeNull();
  expect(screen.queryByRole('button', { name: /^End/ })).toBeNull();
});

it('says what is wrong in the words of the API', async () => {
  show('/sessions', {
    instead: ({ path }) =>
      path.includes('/sessions?')
        ? {
            status: 422,
            body: { detail: 'parameter `cursor`: no cursor of ours', code: 'x', hint: 'Begin anew.' },
          }
        : undefined,
  });
  const alert = await screen.findByRole('alert');
  expect(alert.textContent).toContain('parameter `cursor`: no cursor of ours');
  expect(alert.textContent).toContain('Begin anew.');
});

it('says that nothing matches, and where it looked', async () => {
  show('/sessions?q=nobody-has-this-name');
  expect(await screen.findByText('No matching sessions.')).toBeDefined();
});
