/** The columns of the list of sessions. */
import type { Session } from '@/api/types';
import type { Column } from '@/parts/data-table';
import { CLIENT, CONNECTED, ID, LASTED, PROTOCOL, STATE_AND_REASON, USER } from '@/parts/session-columns';
import { Ago } from '@/parts/times';

export const COLUMNS: readonly Column<Session>[] = [
  CLIENT,
  ID,
  STATE_AND_REASON,
  USER,
  PROTOCOL,
  CONNECTED,
  { ...LASTED, isExtra: true },
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
