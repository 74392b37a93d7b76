import { expect, it } from 'vitest';
import { periodAsked, readPeriodSearch } from './period';

it('takes the last so many days from a link', () => {
  expect(periodAsked(readPeriodSearch({ days: 7 }))).toEqual({ days: 7 });
  expect(periodAsked(readPeriodSearch({ days: '90' }))).toEqual({ days: 90 });
  expect(periodAsked(readPeriodSearch({}))).toEqual({ days: 30 });
});

it('takes a first and a last day from a link', () => {
  expect(periodAsked(readPeriodSearch({ from: '2026-01-31', to: '2026-02-02' }))).toEqual({
    start_date: '2026-01-31',
    end_date: '2026-02-02',
  });
});

it('ignores days that make no sense', () => {
  for (const raw of [
    { days: 8 },
    { from: '2026-02-02' },
    { from: '2026-02-02', to: '2026-01-31' },
    { from: '2026-13-41', to: '2026-13-42' },
    { from: 'yesterday', to: '2026-01-31' },
  ]) {
    expect(periodAsked(readPeriodSearch(raw)), JSON.stringify(raw)).toEqual({ days: 30 });
  }
});
