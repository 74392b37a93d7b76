/** Usage by something, the most used first; what comes after the first few is added up. */
import { Link } from '@tanstack/react-router';
import type { ToolUsage, Usage } from '@/api/types';
import { dollars, whole } from '@/format/numbers';
import { Empty } from './answers';
import { type Bar, Bars } from './bars';
import { ClientName } from './client-name';

interface SharesProps {
  label: string;
  of: Record<string, Usage | ToolUsage>;
  /** What the names are, and so where they lead. */
  names: keyof typeof SHOWN;
  by?: 'count' | 'cost';
}

/** So many have a bar of their own. */
const SHOWN_MAX = 8;

const SHOWN = {
  client: (name: string) => (
    <Link to="/sessions" search={{ client: name, status: 'all' }} className="bar-link">
      <ClientName type={name} />
    </Link>
  ),
  user: (name: string) =>
    name === ANONYMOUS ? (
      name
    ) : (
      <Link to="/sessions" search={{ user: name, status: 'all' }} className="bar-link">
        {name}
      </Link>
    ),
  tool: (name: string, usage: Usage | ToolUsage) => (
    <Link to="/logs" search={{ q: 'tool' in usage ? usage.tool : name }} className="bar-link mono">
      {name}
    </Link>
  ),
};

/** What the API calls those whom nobody authenticated. */
const ANONYMOUS = 'anonymous';

export function Shares({ label, of, names, by = 'count' }: SharesProps) {
  const sorted = Object.entries(of).sort((a, b) => b[1][by] - a[1][by]);
  if (sorted.length === 0) return <Empty title="Nothing in this period." />;
  const show = by === 'cost' ? dollars : whole;
  const bars: Bar[] = sorted.slice(0, SHOWN_MAX).map(([name, usage]) => ({
    name,
    shown: SHOWN[names](name, usage),
    count: usage[by],
    figure: show(usage[by]),
  }));
  const rest = sorted.slice(SHOWN_MAX);
  if (rest.length > 0) {
    const count = rest.reduce((sum, [, usage]) => sum + usage[by], 0);
    bars.push({
      name: rest.length === 1 ? 'one other' : `${rest.length} others`,
      count,
      figure: show(count),
    });
  }
  return <Bars label={label} bars={bars} />;
}
