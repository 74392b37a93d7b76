/** A period against the one before it. */
import type { Analytics, Change } from '@/api/types';
import { dollars, percent, short, whole } from '@/format/numbers';
import { Figure, Figures } from '@/parts/figure';

interface ComparisonProps {
  comparison: NonNullable<Analytics['comparison']>;
  days: number;
}

export function Comparison({ comparison, days }: ComparisonProps) {
  const before = days === 1 ? 'the day before' : `the ${days} days before`;
  return (
    <Figures label={`This period compared with ${before}`}>
      <Compared name="Requests" change={comparison.requests} show={short} before={before} />
      <Compared
        name="Succeeded"
        change={comparison.success_rate}
        show={(value) => percent(value, 1)}
        before={before}
      />
      <Compared name="Tokens" change={comparison.tokens} show={short} before={before} />
      <Compared name="Estimated cost" change={comparison.cost} show={dollars} before={before} />
    </Figures>
  );
}

interface ComparedProps {
  name: string;
  change: Change;
  show: (value: number) => string;
  before: string;
}

function Compared({ name, change, show, before }: ComparedProps) {
  return <Figure name={name} value={show(change.current)} note={said(change, show, before)} />;
}

function said({ change_percent, previous }: Change, show: (value: number) => string, before: string): string {
  if (change_percent === null) return `no data for ${before}`;
  return `${moved(change_percent)} ${before} (${show(previous)})`;
}

/** From there on, a percentage says less than how many times as much it is. */
const TIMES_FROM_PERCENT = 1_000;

function moved(changePercent: number): string {
  if (Math.abs(changePercent) < 0.05) return 'as';
  if (changePercent >= TIMES_FROM_PERCENT) return `${whole(changePercent / 100 + 1)} times`;
  return `${changePercent > 0 ? '+' : '−'}${percent(Math.abs(changePercent))} to`;
}
