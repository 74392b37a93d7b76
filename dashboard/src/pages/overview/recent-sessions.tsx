/** The sessions that were active last. */
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { sessions } from '@/api/queries';
import type { StoredSession } from '@/api/types';
import { usePolling } from '@/live/live';
import { Answer, Empty } from '@/parts/answers';
import { type Column, DataTable } from '@/parts/data-table';
import { Panel } from '@/parts/panel';
import { CLIENT_LINK, REQUESTS, SILENT, STATE, USER } from '@/parts/session-columns';

const COLUMNS = [CLIENT_LINK, USER, STATE, REQUESTS, SILENT] as readonly Column<StoredSession>[];

/** As many as stand beside what is happening. */
const ROWS = 10;

const LATEST = sessions({ status: 'all', sort: 'last_activity', order: 'desc', limit: ROWS });

export function RecentSessions() {
  const query = useQuery({ ...LATEST, ...usePolling() });
  return (
    <Panel title="Latest sessions" aside={<Link to="/sessions">All sessions</Link>} isFlush>
      <Answer query={query} rows={ROWS}>
        {(page) => (
          <DataTable
            label="Latest sessions"
            columns={COLUMNS}
            rows={page.sessions}
            rowId={(row) => row.session_id}
            empty={
              <Empty title="No sessions yet.">
                <Link to="/connect">Connect a client</Link> to see the first one here.
              </Empty>
            }
          />
        )}
      </Answer>
    </Panel>
  );
}
