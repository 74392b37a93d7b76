/** What a session asked for, one row a request. */
import type { Request } from '@/api/types';
import { Empty } from '@/parts/answers';
import { type Column, DataTable } from '@/parts/data-table';
import { COST, DEED, DURATION, FAILURE, OUTCOME, SIZES, TOKENS, WHEN } from '@/parts/request-columns';

const COLUMNS: readonly Column<Request>[] = [WHEN, DEED, OUTCOME, DURATION, ...SIZES, TOKENS, COST, FAILURE];

export function RequestTable({ requests }: { requests: readonly Request[] }) {
  return (
    <DataTable
      label="Requests of this session"
      columns={COLUMNS}
      rows={requests}
      rowId={(request) => String(request.id)}
      sorting={[{ id: 'when', desc: true }]}
      empty={<Empty title="No requests here." />}
    />
  );
}
