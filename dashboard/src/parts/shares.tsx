/** Usage by something, the most used first; what comes after the first few is added up. */
import type { Usage } from '@/api/types';
import { dollars, whole } from '@/format/numbers';
import { Empty } from './answers';
import { type Bar, Bars } from './bars';
import { ClientName } from './client-name';

interface SharesProps {
  label: string;
  of: Record<string, Usage>;
  /** Whether names are those of clients. */
  hasMarks?: boolean;
  by?: 'count' | 'cost';
}

/** So many have a bar of their own. */
const SHOWN_MAX = 8;

export function Shares({ label, of, hasMarks = false, by = 'count' }: SharesProps) {
  const sorted = Object.entries(of).sort((a, b) => b[1][by] - a[1][by]);
  if (sorted.length === 0) return <Empty title="Nothing in this period." />;
  const show = by === 'cost' ? dollars : whole;
  const bars: Bar[] = sorted.slice(0, SHOWN_MAX).map(([name, usage]) => ({
    name,
    shown: hasMarks ? <ClientName type={name} /> : name,
    count: usage[by],
    figure: show(usage[by]),
  }));
  const rest = sorted.slice(SHOWN_MAX);
  if (rest.length > 0) {
    const count = rest.reduce((sum, [, usage]) => sum + usage[by], 0);
    bars.push({ name: `${rest.length} others`, count, figure: show(count) });
  }
  return <Bars label={label} bars={bars} />;
}
