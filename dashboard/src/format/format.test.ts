import { expect, it } from 'vitest';
import { bytes, dollars, latency, percent, rate, short } from './numbers';
import { printable } from './printable';
import { secondsSince, span } from './time';

it('writes spans by their two largest units', () => {
  expect([0, 41.9, 60, 372, 20_881, 97_200].map(span)).toEqual([
    '0 s',
    '41 s',
    '1 min',
    '6 min 12 s',
    '5 h 48 min',
    '1 d 3 h',
  ]);
});

it('takes no clock that runs ahead for the future', () => {
  expect(secondsSince('2026-03-01T12:00:10Z', Date.parse('2026-03-01T12:00:00Z'))).toBe(0);
});

it('writes durations of calls with three digits', () => {
  expect([0, 412, 1_370, 65_800, 1_000_000, 90_000_000].map(latency)).toEqual([
    '0 µs',
    '412 µs',
    '1.37 ms',
    '65.8 ms',
    '1 s',
    '1.5 min',
  ]);
});

it('writes sizes, prices, shares and rates', () => {
  expect([0, 1_023, 1_536, 5_000_000].map(bytes)).toEqual(['0 B', '1,023 B', '1.5 KB', '4.8 MB']);
  expect([0, 0.00001, 0.0123, 12.345].map(dollars)).toEqual(['$0', '< $0.0001', '$0.0123', '$12.35']);
  expect(percent(92.34)).toBe('92.3 %');
  expect([0.5, 12.34, 5_000].map(rate)).toEqual(['0.50', '12.3', '5,000']);
  expect([9_999, 12_345].map(short)).toEqual(['9,999', '12.3K']);
});

it('leaves out what turns the direction of a text', () => {
  expect(printable('a\u202eb\u2066c\u200b \u{e0041}é👨\u200d👩')).toBe('abc é👨\u200d👩');
});
