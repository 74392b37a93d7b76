/** Every tracked request as a line: by level, by words, and following what happens. */
import { SegmentedControl, Switch } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { getRouteApi, useRouter } from '@tanstack/react-router';
import { useState } from 'react';
import { logs } from '@/api/queries';
import type { Level, LogEntry, Logs } from '@/api/types';
import { NOTHING, whole } from '@/format/numbers';
import { useConnection, usePolling } from '@/live/live';
import { Answer, Empty } from '@/parts/answers';
import { ClientName } from '@/parts/client-name';
import { type Column, DataTable } from '@/parts/data-table';
import { LevelMark } from '@/parts/marks';
import { PageHead, Panel } from '@/parts/panel';
import { DEED, DURATION, FAILURE, SESSION, SIZES, WHEN } from '@/parts/request-columns';
import { SearchField } from '@/parts/search-field';
import { oneOf } from '@/parts/search-text';
import { When } from '@/parts/times';
import { TurnPages } from '@/parts/turn-pages';
import '@/parts/filters.css';
import { LEVELS, type LogsSearch } from './search';

const route = getRouteApi('/logs');

/** Lines of a page. */
const LINES = 100;

const COLUMNS: readonly Column<LogEntry>[] = [
  // In the order of the server: sorting one page would say something else than it seems to.
  { ...(WHEN as Column<LogEntry>), value: undefined },
  { id: 'level', name: 'Level', cell: (row) => <LevelMark level={row.level} /> },
  { ...(DEED as Column<LogEntry>), isTitle: true },
  { ...(DURATION as Column<LogEntry>), value: undefined },
  ...SIZES.map((column) => ({ ...(column as Column<LogEntry>), value: undefined })),
  { id: 'upstream', name: 'Upstream', isExtra: true, cell: (row) => row.upstream },
  { id: 'client', name: 'Client', isExtra: true, cell: (row) => <Client type={row.client_type} /> },
  SESSION as Column<LogEntry>,
  FAILURE as Column<LogEntry>,
];

const LEVEL_NAMES: Record<Level, string> = { info: 'Info', warning: 'Warnings', error: 'Errors' };

export function LogsView() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const [isFollowing, setFollowing] = useState(true);
  const router = useRouter();
  const isLatest = search.cursor === undefined;
  const polling = usePolling();
  const { phase } = useConnection();
  const follows = isFollowing && isLatest;
  const asked = logs({
    level: search.level,
    search: search.q,
    session_id: search.session,
    limit: LINES,
    cursor: search.cursor,
  });
  const query = useQuery(
    // Events make stale what is kept under `requests`; under another name it stands still.
    follows
      ? { ...asked, ...polling }
      : { ...asked, queryKey: ['still', ...asked.queryKey], staleTime: Infinity },
  );
  const choose = (change: Partial<LogsSearch>) =>
    void navigate({ search: (before) => ({ ...before, cursor: undefined, ...change }), replace: true });

  return (
    <>
      <PageHead
        name="Logs"
        note={
          query.data &&
          `${query.data.pagination.total_is_exact ? '' : 'over '}${whole(query.data.pagination.total)} requests`
        }
      >
        <Switch
          size="xs"
          label={phase === 'live' ? 'Follow live' : 'Follow by polling'}
          checked={follows}
          disabled={!isLatest}
          onChange={(event) => setFollowing(event.currentTarget.checked)}
        />
      </PageHead>
      <Panel
        title="Requests"
        aside={
          <search className="filters">
            <SearchField
              label="Search requests"
              placeholder="Method, tool or error"
              text={search.q}
              find={(q) => choose({ q })}
            />
            <SegmentedControl
              aria-label="Level"
              data={[
                { value: 'all', label: 'All' },
                ...LEVELS.map((level) => ({ value: level, label: LEVEL_NAMES[level] })),
              ]}
              value={search.level ?? 'all'}
              onChange={(level) => choose({ level: oneOf(level, LEVELS) })}
            />
          </search>
        }
        isFlush
      >
        <Answer query={query} rows={12}>
          {(data) => (
            <Lines
              data={data}
              search={search}
              turn={(cursor) => void navigate({ search: (before) => ({ ...before, cursor }) })}
              back={() => router.history.back()}
            />
          )}
        </Answer>
      </Panel>
    </>
  );
}

/** A session may have been removed since. */
function Client({ type }: { type: string | null }) {
  return type === null ? <span className="quiet">{NOTHING}</span> : <ClientName type={type} />;
}

interface LinesProps {
  data: Logs;
  search: LogsSearch;
  turn: (cursor: string | undefined) => void;
  /** The way back is the browser's: a cursor knows only where the next page begins. */
  back: () => void;
}

function Lines({ data, search, turn, back }: LinesProps) {
  const { next_cursor, searched_back_to } = data.pagination;
  const isFiltered = search.level !== undefined || search.q !== undefined;
  return (
    <>
      <DataTable
        label="Requests"
        columns={COLUMNS}
        rows={data.logs}
        rowId={(line) => String(line.id)}
        empty={
          searched_back_to !== null ? (
            <Empty title="No matching requests so far.">Choose Next to search older requests.</Empty>
          ) : isFiltered ? (
            <Empty title="No matching requests.">Search covers methods, tools and error messages.</Empty>
          ) : (
            <Empty title="No requests yet." />
          )
        }
      />
      {searched_back_to !== null && (
        <p className="quiet logs-searched">
          Searched back to <When time={searched_back_to} />; Next continues from there.
        </p>
      )}
      <TurnPages
        first={search.cursor === undefined ? undefined : () => turn(undefined)}
        back={search.cursor === undefined ? undefined : back}
        next={next_cursor === null ? undefined : () => turn(next_cursor)}
      />
    </>
  );
}
