/** The sessions that were active last. */
import { Link } from '@tanstack/react-router';
import type { RecentActivity } from '@/api/types';
import { shortId } from '@/format/names';
import { span } from '@/format/time';
import { Empty } from '@/parts/answers';
import { ClientName } from '@/parts/client-name';
import { type Column, DataTable } from '@/parts/data-table';
import { StatusMark } from '@/parts/marks';
import { Panel } from '@/parts/panel';

const COLUMNS: readonly Column<RecentActivity>[] = [
  { id: 'client', name: 'Client', isWide: true, cell: (row) => <ClientName type={row.client_type} /> },
  {
    id: 'session',
    name: 'Session',
    cell: (row) => (
      <Link to="/sessions/$id" params={{ id: row.session_id }} className="mono">
        {shortId(row.session_id)}
      </Link>
    ),
  },
  { id: 'status', name: 'State', cell: (row) => <StatusMark status={row.status} /> },
  { id: 'age', name: 'Silent for', align: 'number', cell: (row) => minutes(row.age_minutes) },
  { id: 'uptime', name: 'Lasted', align: 'number', cell: (row) => minutes(row.uptime_minutes) },
];

export function RecentSessions({ recent }: { recent: RecentActivity[] }) {
  return (
    <Panel title="Latest sessions" aside={<Link to="/sessions">All sessions</Link>} isFlush>
      <DataTable
        label="Latest sessions"
        columns={COLUMNS}
        rows={recent}
        rowId={(row) => row.session_id}
        empty={
          <Empty title="No session yet.">
            <Link to="/connect">Connect a client</Link> to see the first one here.
          </Empty>
        }
      />
    </Panel>
  );
}

function minutes(count: number): string {
  return count < 1 ? '< 1 min' : span(count * 60);
}
