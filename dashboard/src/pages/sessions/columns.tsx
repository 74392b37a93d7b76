/** The columns of the list of sessions. */
import type { StoredSession } from '@/api/types';
import type { Column } from '@/parts/data-table';
import {
  CLIENT,
  CONNECTED,
  COST,
  FAILED,
  ID,
  PROTOCOL,
  REQUESTS,
  STATE_AND_REASON,
  UPSTREAMS,
  USER,
} from '@/parts/session-columns';
import { Ago } from '@/parts/times';

export const COLUMNS: readonly Column<StoredSession>[] = [
  CLIENT,
  ID,
  STATE_AND_REASON,
  USER,
  UPSTREAMS,
  PROTOCOL,
  REQUESTS,
  FAILED,
  COST,
  CONNECTED,
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
] as readonly Column<StoredSession>[];
