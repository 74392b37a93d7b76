/** How many days a page looks back: in the URL, and a choice on the page. */
import { SegmentedControl } from '@mantine/core';
import type { RawSearch } from './search-text';

export const DAYS = [1, 7, 30, 90] as const;
export type Days = (typeof DAYS)[number];

export interface DaysSearch {
  days?: Days;
}

/** What a page shows unless it is asked for something else. */
export const DAYS_USUAL: Days = 30;

export function readDaysSearch(raw: RawSearch): DaysSearch {
  const days = DAYS.find((choice) => String(choice) === String(raw['days']));
  return { days: days === DAYS_USUAL ? undefined : days };
}

const NAMES: Record<Days, string> = { 1: 'Today', 7: '7 days', 30: '30 days', 90: '90 days' };

export function DaysChoice({ days, choose }: { days: Days; choose: (days: Days) => void }) {
  return (
    <SegmentedControl
      aria-label="Period"
      data={DAYS.map((choice) => ({ value: String(choice), label: NAMES[choice] }))}
      value={String(days)}
      onChange={(value) => choose(Number(value) as Days)}
    />
  );
}
