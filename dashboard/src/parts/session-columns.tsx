/** How sessions are shown in tables. */
import { Link } from '@tanstack/react-router';
import type { Session } from '@/api/types';
import { shortId } from '@/format/names';
import { NOTHING } from '@/format/numbers';
import { secondsSince, span } from '@/format/time';
import { ClientName } from './client-name';
import { useNow } from './clock';
import type { Column } from './data-table';
import { StatusMark } from './marks';
import { reasonWords } from './reasons';
import { Ago, When } from './times';

export const CLIENT: Column<Session> = {
  id: 'client',
  name: 'Client',
  cell: (row) => <ClientName type={row.client_type} version={row.client_version} />,
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

export const STATE_AND_REASON: Column<Session> = {
  ...STATE,
  cell: (row) => (
    <>
      <StatusMark status={row.status} />
      {row.disconnect_reason && <span className="quiet">: {reasonWords(row.disconnect_reason)}</span>}
    </>
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
  cell: (row) => <When time={row.connected_at} />,
};

export const LASTED: Column<Session> = {
  id: 'duration',
  name: 'Lasted',
  align: 'number',
  cell: (row) => <Lasted session={row} />,
};

/** How long nothing was heard of it, or not at all any more. */
export const SILENT: Column<Session> = {
  id: 'silent',
  name: 'Silent for',
  align: 'number',
  cell: (row) => <Ago time={row.last_activity} />,
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
