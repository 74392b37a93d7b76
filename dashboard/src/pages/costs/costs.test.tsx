import { screen, waitFor, within } from '@testing-library/react';
import { expect, it } from 'vitest';
import { show } from '../../../tests/app';

it('changes a price after asking for both figures', async () => {
  const { person, asked } = show('/costs');
  await person.click(await screen.findByRole('button', { name: 'Change the price of gpt-5' }));
  const dialog = await screen.findByRole('dialog', { name: 'Price of gpt-5' });
  const input = within(dialog).getByLabelText(/input tokens/);
  await person.clear(input);
  expect(within(dialog).getByRole('button', { name: 'Save' })).toHaveProperty('disabled', true);
  await person.type(input, '2');
  await person.click(within(dialog).getByRole('button', { name: 'Save' }));
  await waitFor(() => expect(screen.queryByRole('dialog')).toBeNull());
  expect(asked.find(({ method }) => method === 'PUT')?.body).toEqual({
    pricing: [
      { provider: 'openai', model_name: 'gpt-5', input_price_per_million: 2, output_price_per_million: 10 },
    ],
  });
});

it('lets a viewer read prices only', async () => {
  show('/costs', { role: 'viewer' });
  await screen.findByRole('table', { name: 'Prices' });
  expect(screen.queryByRole('button', { name: /price/i })).toBeNull();
});
