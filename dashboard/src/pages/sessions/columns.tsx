/** The columns of the list of sessions. */
import { Link } from '@tanstack/react-router';
import type { Session } from '@/api/types';
import { shortId } from '@/format/names';
import { NOTHING } from '@/format/numbers';
import { secondsSince, span } from '@/format/time';
import { ClientName } from '@/parts/client-name';
import { useNow } from '@/parts/clock';
import type { Column } from '@/parts/data-table';
import { StatusMark } from '@/parts/marks';
import { reasonWords } from '@/parts/reasons';
import { Ago, When } from '@/parts/times';

export const COLUMNS: readonly Column<Session>[] = [
  {
    id: 'client',
    name: 'Client',
    cell: (row) => <ClientName type={row.client_type} version={row.client_version} />,
  },
  {
    id: 'session',
    name: 'Session',
    cell: (row) => (
      <Link to="/sessions/$id" params={{ id: row.session_id }} className="mono">
        {shortId(row.session_id)}
      </Link>
    ),
  },
  {
    id: 'status',
    name: 'State',
    cell: (row) => (
      <>
        <StatusMark status={row.status} />
        {row.disconnect_reason && <span className="quiet">: {reasonWords(row.disconnect_reason)}</span>}
      </>
    ),
  },
  { id: 'user', name: 'User', isWide: true, cell: (row) => <User session={row} /> },
  {
    id: 'protocol',
    name: 'Protocol',
    isExtra: true,
    cell: (row) => (
      <>
        {row.protocol_version} <span className="quiet">{row.era}</span>
      </>
    ),
  },
  {
    id: 'connected_at',
    name: 'Connected',
    align: 'number',
    value: (row) => row.connected_at,
    cell: (row) => <When time={row.connected_at} />,
  },
  { id: 'duration', name: 'Lasted', align: 'number', isExtra: true, cell: (row) => <Lasted session={row} /> },
  {
    id: 'last_activity',
    name: 'Last activity',
    align: 'number',
    value: (row) => row.last_activity,
    cell: (row) => (
      <>
        <Ago time={row.last_activity} /> ago
      </>
    ),
  },
];

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
