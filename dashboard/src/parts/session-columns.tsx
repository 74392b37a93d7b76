/** How sessions are shown in tables. */
import { Link } from '@tanstack/react-router';
import type { Session, StoredSession } from '@/api/types';
import { shortId } from '@/format/names';
import { dollars, NOTHING, short } from '@/format/numbers';
import { secondsSince, span } from '@/format/time';
import { ClientName } from './client-name';
import { useNow } from './clock';
import type { Column } from './data-table';
import { StatusMark } from './marks';
import { reasonWord } from './reasons';
import { Ago, When } from './times';

export const CLIENT: Column<Session> = {
  id: 'client',
  name: 'Client',
  cell: (row) => <ClientName type={row.client_type} version={row.client_version} />,
};

/** The same, where it is what leads to the session. */
export const CLIENT_LINK: Column<Session> = {
  ...CLIENT,
  cell: (row) => (
    <Link
      to="/sessions/$id"
      params={{ id: row.session_id }}
      className="client-link"
      title={`Session ${row.session_id}`}
    >
      <ClientName type={row.client_type} version={row.client_version} />
    </Link>
  ),
};

export const ID: Column<Session> = {
  id: 'session',
  name: 'Session',
  cell: (row) => (
    <Link to="/sessions/$id" params={{ id: row.session_id }} className="mono">
      {shortId(row.session_id)}
    </Link>
  ),
};

export const STATE: Column<Session> = {
  id: 'status',
  name: 'State',
  cell: (row) => <StatusMark status={row.status} />,
};

/** Of one that has ended, why. */
export const STATE_OR_REASON: Column<Session> = {
  ...STATE,
  cell: (row) => (
    <StatusMark
      status={row.status}
      {...(row.disconnect_reason && { word: reasonWord(row.disconnect_reason) })}
    />
  ),
};

export const USER: Column<Session> = {
  id: 'user',
  name: 'User',
  isWide: true,
  cell: (row) => <User session={row} />,
};

export const PROTOCOL: Column<Session> = {
  id: 'protocol',
  name: 'Protocol',
  isExtra: true,
  cell: (row) => (
    <>
      {row.protocol_version} <span className="quiet">{row.era}</span>
    </>
  ),
};

export const CONNECTED: Column<Session> = {
  id: 'connected_at',
  name: 'Connected',
  align: 'number',
  value: (row) => row.connected_at,
  cell: (row) => <When time={row.connected_at} toTheMinute />,
};

export const LASTED: Column<Session> = {
  id: 'duration',
  name: 'Duration',
  align: 'number',
  cell: (row) => <Lasted session={row} />,
};

/** How long nothing was heard of it, or not at all any more. */
export const SILENT: Column<Session> = {
  id: 'silent',
  name: 'Idle for',
  align: 'number',
  cell: (row) => <Ago time={row.last_activity} />,
};

/** Where its calls went: the first upstream, and how many more. */
export const UPSTREAMS: Column<StoredSession> = {
  id: 'upstreams',
  name: 'Upstream',
  isExtra: true,
  cell: ({ upstreams }) => (
    <span title={upstreams.join(', ')}>
      {upstreams[0] ?? <span className="quiet">{NOTHING}</span>}
      {upstreams.length > 1 && <span className="quiet"> +{upstreams.length - 1}</span>}
    </span>
  ),
};

export const REQUESTS: Column<StoredSession> = {
  id: 'total_requests',
  name: 'Requests',
  align: 'number',
  cell: (row) => short(row.total_requests),
};

export const FAILED: Column<StoredSession> = {
  id: 'total_errors',
  name: 'Failed',
  align: 'number',
  cell: (row) =>
    row.total_errors === 0 ? (
      <span className="quiet">0</span>
    ) : (
      <span className="bad">{short(row.total_errors)}</span>
    ),
};

export const COST: Column<StoredSession> = {
  id: 'total_cost',
  name: 'Cost',
  align: 'number',
  cell: (row) => (
    <span title={`${short(row.total_prompt_tokens + row.total_completion_tokens)} tokens`}>
      {dollars(row.total_cost)}
    </span>
  ),
};

function User({ session }: { session: Session }) {
  const name = session.user_email ?? session.user_name ?? session.user_id;
  return name === null ? (
    <span className="quiet">anonymous</span>
  ) : (
    <span title={session.principal}>{name}</span>
  );
}

function Lasted({ session }: { session: Session }) {
  const now = useNow();
  if (session.status === 'active') return span(secondsSince(session.connected_at, now));
  return session.total_duration === null ? NOTHING : span(session.total_duration);
}
