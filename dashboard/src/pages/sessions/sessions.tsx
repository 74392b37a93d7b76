/** All sessions: found, sorted, paged, and ended. What is shown stands in the URL. */
import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { getRouteApi, useRouter } from '@tanstack/react-router';
import type { RowSelectionState } from '@tanstack/react-table';
import { useState } from 'react';
import { me, sessions } from '@/api/queries';
import { whole } from '@/format/numbers';
import { usePolling } from '@/live/live';
import { Answer, Empty } from '@/parts/answers';
import { DataTable } from '@/parts/data-table';
import { EndSessions } from '@/parts/end-sessions';
import { PageHead, Panel } from '@/parts/panel';
import { TurnPages } from '@/parts/turn-pages';
import { COLUMNS } from './columns';
import { Filters } from './filters';
import { type SessionsSearch, SORTS, sessionsParameters } from './search';

const route = getRouteApi('/sessions');

export function Sessions() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const query = useQuery({ ...sessions(sessionsParameters(search)), ...usePolling() });
  const { data: who } = useQuery(me);
  const router = useRouter();
  const [chosen, setChosen] = useState<RowSelectionState>({});
  const [isEnding, setEnding] = useState(false);
  const shown = query.data?.sessions ?? [];
  const isOperator = who?.role === 'operator';
  const canEnd = isOperator && shown.some((session) => session.status === 'active');
  const ending = shown.filter((session) => chosen[session.session_id] && session.status === 'active');

  /** A choice begins the list anew; turning pages does not. */
  const choose = (change: Partial<SessionsSearch>) => {
    setChosen({});
    void navigate({
      search: (before) => ({ ...before, cursor: undefined, ...change }) as SessionsSearch,
      replace: true,
    });
  };

  /** Keyset paging knows where the next page begins; the way back is the browser's. */
  const turn = (cursor: string | undefined) => void navigate({ search: (before) => ({ ...before, cursor }) });

  return (
    <>
      <PageHead
        name="Sessions"
        note={
          query.data &&
          `${query.data.total_is_exact ? '' : 'over '}${whole(query.data.total)} found, ${whole(query.data.active_sessions)} active`
        }
      >
        {isOperator && (
          <Button variant="default" disabled={ending.length === 0} onClick={() => setEnding(true)}>
            {ending.length === 0 ? 'End sessions…' : `End ${ending.length}…`}
          </Button>
        )}
      </PageHead>
      <Panel title="List of sessions" aside={<Filters search={search} choose={choose} />} isFlush>
        <Answer query={query} rows={10}>
          {(page) => (
            <>
              <DataTable
                label="Sessions"
                columns={COLUMNS}
                rows={page.sessions}
                rowId={(session) => session.session_id}
                sorting={[{ id: search.sort ?? 'last_activity', desc: search.order !== 'asc' }]}
                onSort={([first]) =>
                  choose({
                    sort: SORTS.find((sort) => sort === first?.id),
                    order: first && !first.desc ? 'asc' : undefined,
                  })
                }
                {...(canEnd ? { selection: chosen, onSelect: setChosen } : {})}
                canSelect={(session) => session.status === 'active'}
                rowName={(session) => `${session.client_type} ${session.session_id}`}
                empty={<NothingFound search={search} />}
              />
              <TurnPages
                first={search.cursor === undefined ? undefined : () => turn(undefined)}
                back={
                  search.cursor === undefined
                    ? undefined
                    : () => (router.history.canGoBack() ? router.history.back() : turn(undefined))
                }
                next={
                  page.next_cursor === null || query.isPlaceholderData
                    ? undefined
                    : () => turn(page.next_cursor ?? undefined)
                }
              />
            </>
          )}
        </Answer>
      </Panel>
      {isEnding && (
        <EndSessions
          sessions={ending}
          close={() => setEnding(false)}
          done={() => {
            setEnding(false);
            setChosen({});
          }}
        />
      )}
    </>
  );
}

function NothingFound({ search }: { search: SessionsSearch }) {
  const isFiltered = search.q || search.client || search.user;
  if (isFiltered) {
    return (
      <Empty title="No matching sessions.">
        Search covers clients, users and the first characters of ids.
      </Empty>
    );
  }
  return search.status === 'disconnected' || search.status === 'all' ? (
    <Empty title="No sessions yet." />
  ) : (
    <Empty title="No active sessions.">Choose “All” to see ended sessions.</Empty>
  );
}
