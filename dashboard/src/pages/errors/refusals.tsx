/** Requests that were turned away before they had a session: who, and why. */
import { useQuery } from '@tanstack/react-query';
import { refusals } from '@/api/queries';
import type { Refusal } from '@/api/types';
import { whole } from '@/format/numbers';
import { usePolling } from '@/live/live';
import { Answer, Empty } from '@/parts/answers';
import { type Column, DataTable } from '@/parts/data-table';
import { Panel } from '@/parts/panel';
import { When } from '@/parts/times';

const ROWS = 50;

const COLUMNS: readonly Column<Refusal>[] = [
  { id: 'when', name: 'Latest', cell: (row) => <When time={row.last_at} /> },
  { id: 'count', name: 'Count', align: 'number', cell: (row) => whole(row.count) },
  { id: 'cause', name: 'Cause', isTitle: true, cell: (row) => row.cause.replaceAll('_', ' ') },
  { id: 'port', name: 'Upstream', cell: (row) => row.upstream ?? 'API' },
  { id: 'peer', name: 'Address', cell: (row) => row.peer },
  { id: 'client', name: 'Client', isExtra: true, cell: (row) => row.client },
  { id: 'principal', name: 'Principal', isExtra: true, cell: (row) => row.principal },
  { id: 'detail', name: 'Answer', isWide: true, cell: (row) => row.detail },
];

export function Refusals() {
  const query = useQuery({ ...refusals({ limit: ROWS }), ...usePolling() });
  return (
    <Panel title="Refused requests" isFlush>
      <Answer query={query} rows={4}>
        {({ refusals: rows }) => (
          <DataTable
            label="Refused requests"
            columns={COLUMNS}
            rows={rows}
            rowId={(row) => `${row.minute} ${row.cause} ${row.upstream} ${row.peer}`}
            empty={
              <Empty title="No refused requests.">
                Failed handshakes, unknown sessions and invalid credentials appear here, grouped by minute.
              </Empty>
            }
          />
        )}
      </Answer>
    </Panel>
  );
}
