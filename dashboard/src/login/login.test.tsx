import { screen } from '@testing-library/react';
import { expect, it } from 'vitest';
import { show } from '../../tests/app';

it('asks for a token where one is set, and shows the page after it', async () => {
  const { person, asked, history } = show('/sessions', { token: 'open sesame' });
  const field = await screen.findByLabelText(/API token/);
  expect(field.getAttribute('type')).toBe('password');
  expect(
    asked.some(({ path }) => path.includes('/sessions')),
    'nothing is asked for before',
  ).toBe(false);

  await person.type(field, 'wrong');
  await person.click(screen.getByRole('button', { name: 'Log in' }));
  expect((await screen.findByRole('alert')).textContent).toContain('this token is not known');

  await person.clear(field);
  await person.type(field, 'open sesame');
  await person.click(screen.getByRole('button', { name: 'Log in' }));
  await screen.findByRole('table', { name: 'Sessions' });
  expect(history.location.href).not.toContain('sesame');
  expect(JSON.stringify({ ...localStorage, ...sessionStorage })).not.toContain('sesame');
  expect(asked.filter(({ path }) => path.includes('sesame'))).toEqual([]);
});

it('asks again when the login has ended', async () => {
  let hasEnded = false;
  const { person } = show('/sessions', {
    instead: ({ path }) => {
      if (!hasEnded) return undefined;
      if (path.endsWith('/me')) return { status: 200, body: { role: null, name: null, auth_required: true } };
      return { status: 401, body: { detail: 'this API requires a token', code: 'token_required', hint: '' } };
    },
  });
  await screen.findByRole('table', { name: 'Sessions' });
  hasEnded = true;
  await person.type(screen.getByRole('textbox', { name: 'Search sessions' }), 'x');
  expect(await screen.findByLabelText(/API token/)).toBeDefined();
});
