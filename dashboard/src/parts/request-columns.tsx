/** How requests are shown in tables. */
import { Link } from '@tanstack/react-router';
import type { Request } from '@/api/types';
import { shortId } from '@/format/names';
import { bytes, dollars, latency, short } from '@/format/numbers';
import type { Column } from './data-table';
import { OutcomeMark } from './marks';
import { When } from './times';
import './request-columns.css';

export const WHEN: Column<Request> = {
  id: 'when',
  name: 'Time',
  value: (row) => row.timestamp,
  cell: (row) => <When time={row.timestamp} />,
};

export const DEED: Column<Request> = { id: 'what', name: 'Request', cell: (row) => <Deed request={row} /> };

export const OUTCOME: Column<Request> = {
  id: 'outcome',
  name: 'Outcome',
  cell: (row) => <OutcomeMark outcome={row.status} />,
};

export const DURATION: Column<Request> = {
  id: 'duration',
  name: 'Duration',
  align: 'number',
  value: (row) => row.duration_us,
  cell: (row) => latency(row.duration_us),
};

export const TOKENS: Column<Request> = {
  id: 'tokens',
  name: 'Tokens',
  align: 'number',
  isExtra: true,
  value: (row) => row.prompt_tokens + row.completion_tokens,
  cell: (row) => (
    <span title={`${row.prompt_tokens} in, ${row.completion_tokens} out`}>
      {short(row.prompt_tokens + row.completion_tokens)}
    </span>
  ),
};

export const COST: Column<Request> = {
  id: 'cost',
  name: 'Cost',
  align: 'number',
  isExtra: true,
  value: (row) => row.estimated_cost,
  cell: (row) => <span title={row.model ?? undefined}>{dollars(row.estimated_cost)}</span>,
};

export const SIZES: Column<Request>[] = [
  {
    id: 'in',
    name: 'Sent',
    align: 'number',
    isExtra: true,
    value: (row) => row.request_bytes,
    cell: (row) => bytes(row.request_bytes),
  },
  {
    id: 'out',
    name: 'Received',
    align: 'number',
    isExtra: true,
    value: (row) => row.response_bytes,
    cell: (row) => bytes(row.response_bytes),
  },
];

export const SESSION: Column<Request> = {
  id: 'session',
  name: 'Session',
  cell: (row) => (
    <Link to="/sessions/$id" params={{ id: row.session_id }} className="mono">
      {shortId(row.session_id)}
    </Link>
  ),
};

export const FAILURE: Column<Request> = {
  id: 'error',
  name: 'Error',
  isWide: true,
  cell: (row) => row.error_message !== null && <ErrorDetail text={row.error_message} />,
};

/** One line until somebody wants to read it. */
function ErrorDetail({ text }: { text: string }) {
  return (
    <details className="error-detail">
      <summary>{text}</summary>
      <p className="mono">{text}</p>
    </details>
  );
}

function Deed({ request }: { request: Request }) {
  return (
    <span title={`upstream ${request.upstream}`}>
      <span className="mono">{request.tool_name ?? request.method}</span>
      {request.tool_name && <span className="quiet"> {request.method}</span>}
    </span>
  );
}
