/** What the server itself warned of, where it did. */
import { useQuery } from '@tanstack/react-query';
import { status } from '@/api/queries';
import type { ServiceStatus } from '@/api/types';
import { type Column, DataTable } from '@/parts/data-table';
import { Mark } from '@/parts/marks';
import { Panel } from '@/parts/panel';
import { When } from '@/parts/times';

type Line = ServiceStatus['logs'][number];

/** The latest few: all of them are in its log. */
const SHOWN_MAX = 5;

const COLUMNS: readonly Column<Line>[] = [
  { id: 'when', name: 'Time', cell: (line) => <When time={line.timestamp} /> },
  {
    id: 'level',
    name: 'Level',
    cell: (line) =>
      line.level === 'ERROR' ? <Mark tone="bad" word="error" /> : <Mark tone="warn" word="warning" />,
  },
  {
    id: 'message',
    name: 'Message',
    isWide: true,
    cell: (line) => <span title={line.message}>{line.message}</span>,
  },
];

export function Warnings() {
  const { data } = useQuery(status);
  const lines = data?.logs ?? [];
  if (lines.length === 0) return null;
  return (
    <Panel title="Server warnings" aside="the latest" isFlush>
      <DataTable
        label="Server warnings"
        columns={COLUMNS}
        rows={lines.slice(-SHOWN_MAX).reverse()}
        rowId={(line) => `${line.timestamp} ${line.message}`}
        empty={null}
      />
    </Panel>
  );
}
