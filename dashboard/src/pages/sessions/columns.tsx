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
  SILENT,
  STATE_OR_REASON,
  UPSTREAMS,
  USER,
} from '@/parts/session-columns';

export const COLUMNS: readonly Column<StoredSession>[] = [
  { ...CLIENT, id: 'client_type', value: (row: StoredSession) => row.client_type },
  ID,
  STATE_OR_REASON,
  USER,
  UPSTREAMS,
  PROTOCOL,
  { ...REQUESTS, value: (row: StoredSession) => row.total_requests },
  { ...FAILED, value: (row: StoredSession) => row.total_errors },
  { ...COST, value: (row: StoredSession) => row.total_cost },
  CONNECTED,
  { ...SILENT, id: 'last_activity', value: (row: StoredSession) => row.last_activity },
] as readonly Column<StoredSession>[];
