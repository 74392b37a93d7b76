/** Which days a page looks back over. */
import { SegmentedControl, TextInput } from '@mantine/core';
import { DAYS, DAYS_USUAL, type Days, type PeriodSearch, utcToday } from './period';
import './filters.css';

const NAMES: Record<Days, string> = { 1: 'Today', 7: '7 days', 30: '30 days', 90: '90 days' };
const CUSTOM = 'custom';

interface PeriodChoiceProps {
  search: PeriodSearch;
  choose: (search: PeriodSearch) => void;
}

export function PeriodChoice({ search, choose }: PeriodChoiceProps) {
  const { days = DAYS_USUAL, from, to } = search;
  const isCustom = from !== undefined && to !== undefined;
  return (
    <div className="filters">
      {isCustom && (
        <>
          <TextInput
            type="date"
            aria-label="First day, in UTC"
            value={from}
            max={to}
            onChange={(event) => chooseDays(event.currentTarget.value, to)}
          />
          <TextInput
            type="date"
            aria-label="Last day, in UTC"
            value={to}
            min={from}
            max={utcToday()}
            onChange={(event) => chooseDays(from, event.currentTarget.value)}
          />
        </>
      )}
      <SegmentedControl
        aria-label="Period"
        data={[
          ...DAYS.map((choice) => ({ value: String(choice), label: NAMES[choice] })),
          { value: CUSTOM, label: 'From … to' },
        ]}
        value={isCustom ? CUSTOM : String(days)}
        onChange={(value) =>
          value === CUSTOM
            ? choose({ from: utcToday(days - 1), to: utcToday() })
            : choose({ days: Number(value) as Days })
        }
      />
    </div>
  );

  /** A field that is being typed into is empty in between. */
  function chooseDays(first: string, last: string): void {
    if (first !== '' && last !== '')
      choose(first <= last ? { from: first, to: last } : { from: first, to: first });
  }
}
