/** The columns of the list of tools. */
import type { ToolTimes, ToolUsage } from '@/api/types';
import { dollars, latency, NOTHING, percent, short, whole } from '@/format/numbers';
import type { Column } from '@/parts/data-table';

/** From there on, somebody should look. */
const RATE_BAD_PERCENT = 5;

export type Tool = ToolTimes & { usage: ToolUsage | undefined };

export const COLUMNS: readonly Column<Tool>[] = [
  {
    id: 'tool',
    name: 'Tool',
    isWide: true,
    value: (row) => row.tool,
    cell: (row) => <span className="mono">{row.tool}</span>,
  },
  {
    id: 'upstream',
    name: 'Upstream',
    value: (row) => row.upstream ?? '',
    cell: (row) => row.upstream ?? <span className="quiet">{NOTHING}</span>,
  },
  { id: 'count', name: 'Calls', align: 'number', value: (row) => row.count, cell: (row) => whole(row.count) },
  {
    id: 'errors',
    name: 'Failed',
    align: 'number',
    value: (row) => row.error_rate_percent,
    cell: (row) => <Failed tool={row} />,
  },
  time('p50', 'p50', (row) => row.p50),
  time('p95', 'p95', (row) => row.p95),
  time('p99', 'p99', (row) => row.p99),
  { ...time('min', 'Shortest', (row) => row.min_ms), isExtra: true },
  { ...time('max', 'Longest', (row) => row.max_ms), isExtra: true },
  {
    id: 'tokens',
    name: 'Tokens',
    align: 'number',
    value: (row) => row.usage?.tokens ?? 0,
    cell: (row) => (row.usage ? short(row.usage.tokens) : NOTHING),
  },
  {
    id: 'cost',
    name: 'Estimated cost',
    align: 'number',
    value: (row) => row.usage?.cost ?? 0,
    cell: (row) => (row.usage ? dollars(row.usage.cost) : NOTHING),
  },
];

function Failed({ tool: { errors, timeouts, error_rate_percent: rate } }: { tool: Tool }) {
  const said = `${whole(errors)} errors, ${whole(timeouts)} timeouts`;
  return (
    <span title={said} className={rate >= RATE_BAD_PERCENT ? 'bad' : rate === 0 ? 'quiet' : undefined}>
      {percent(rate, rate > 0 && rate < 10 ? 1 : 0)}
    </span>
  );
}

function time(id: string, name: string, ms: (row: Tool) => number): Column<Tool> {
  return {
    id,
    name,
    align: 'number',
    value: ms,
    // What was never answered has no response time.
    cell: (row) => (ms(row) === 0 ? NOTHING : latency(ms(row) * 1_000)),
  };
}
