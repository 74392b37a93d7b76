/** What a session asked for, one row a request, some at a time. */
import { Button } from '@mantine/core';
import { type ReactNode, useMemo, useState } from 'react';
import type { Request } from '@/api/types';
import { whole } from '@/format/numbers';
import { Empty } from '@/parts/answers';
import { type Column, DataTable } from '@/parts/data-table';
import { COST, DEED, DURATION, FAILURE, OUTCOME, SIZES, TOKENS, WHEN } from '@/parts/request-columns';
import '@/parts/turn-pages.css';

const COLUMNS: readonly Column<Request>[] = [
  WHEN,
  { ...DEED, isTitle: true },
  OUTCOME,
  DURATION,
  ...SIZES,
  TOKENS,
  COST,
  FAILURE,
];

/** A screen or two. */
const STEP = 50;

interface RequestTableProps {
  requests: readonly Request[];
  /** What to say of requests that are not known here, where there are some. */
  earlier?: ReactNode;
}

export function RequestTable({ requests, earlier }: RequestTableProps) {
  const [count, setCount] = useState(STEP);
  const shown = useMemo(() => requests.slice(0, count), [requests, count]);
  return (
    <>
      <DataTable
        label="Requests of this session"
        columns={COLUMNS}
        rows={shown}
        rowId={(request) => String(request.id)}
        sorting={[{ id: 'when', desc: true }]}
        empty={<Empty title="No requests in this range." />}
      />
      {requests.length <= count && earlier}
      {requests.length > count && (
        <div className="pages">
          <span className="quiet">
            {whole(count)} of {whole(requests.length)}
          </span>
          <Button variant="default" onClick={() => setCount(count + STEP)}>
            Show more
          </Button>
        </div>
      )}
    </>
  );
}
