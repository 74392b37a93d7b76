/** Requests that went wrong. */
import { SegmentedControl } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { getRouteApi, useRouter } from '@tanstack/react-router';
import { errors } from '@/api/queries';
import type { Request } from '@/api/types';
import { NOTHING, percent, whole } from '@/format/numbers';
import { usePolling } from '@/live/live';
import { Answer, Empty } from '@/parts/answers';
import { type Column, DataTable } from '@/parts/data-table';
import { Figure, Figures } from '@/parts/figure';
import { PageHead, Panel } from '@/parts/panel';
import { DEED, DURATION, FAILURE, OUTCOME, SESSION, WHEN } from '@/parts/request-columns';
import { oneOf } from '@/parts/search-text';
import { Ago } from '@/parts/times';
import { TurnPages } from '@/parts/turn-pages';
import { Refusals } from './refusals';
import { SEVERITIES } from './search';
import '@/parts/filters.css';

const route = getRouteApi('/errors');

const ROWS = 50;

const COLUMNS: readonly Column<Request>[] = [
  { ...WHEN, value: undefined },
  OUTCOME,
  { ...DEED, isTitle: true },
  { id: 'upstream', name: 'Upstream', isExtra: true, cell: (row) => row.upstream },
  { ...DURATION, value: undefined },
  SESSION,
  FAILURE,
];

export function ErrorsView() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const router = useRouter();
  const query = useQuery({
    ...errors({
      severity: search.severity ?? 'all',
      session_id: search.session,
      cursor: search.cursor,
      limit: ROWS,
    }),
    ...usePolling(),
  });
  const turn = (cursor: string | undefined) => void navigate({ search: (before) => ({ ...before, cursor }) });
  return (
    <>
      <PageHead name="Errors" />
      <Answer query={query} rows={12}>
        {({ errors: rows, summary, next_cursor }) => (
          <>
            <Figures label="All stored requests">
              <Figure
                name="Errors"
                value={whole(summary.error_count)}
                tone={summary.error_count > 0 ? 'bad' : undefined}
              />
              <Figure
                name="Timeouts"
                value={whole(summary.timeout_count)}
                tone={summary.timeout_count > 0 ? 'warn' : undefined}
              />
              <Figure name="Share of all requests" value={percent(summary.error_rate_percent, 2)} />
              <Figure
                name="Since the last failure"
                value={summary.last_error_at === null ? NOTHING : <Ago time={summary.last_error_at} />}
              />
            </Figures>
            <Panel
              title="Failed requests"
              aside={
                <div className="filters">
                  <SegmentedControl
                    aria-label="Severity"
                    data={[
                      { value: 'all', label: 'All' },
                      { value: 'error', label: 'Errors' },
                      { value: 'timeout', label: 'Timeouts' },
                    ]}
                    value={search.severity ?? 'all'}
                    onChange={(severity) =>
                      void navigate({
                        search: (before) => ({
                          ...before,
                          cursor: undefined,
                          severity: oneOf(severity, SEVERITIES),
                        }),
                        replace: true,
                      })
                    }
                  />
                </div>
              }
              isFlush
            >
              <DataTable
                label="Failed requests"
                columns={COLUMNS}
                rows={rows}
                rowId={(row) => String(row.id)}
                empty={
                  <Empty title="No failed requests.">Tool errors and unanswered calls appear here.</Empty>
                }
              />
              <TurnPages
                first={search.cursor === undefined ? undefined : () => turn(undefined)}
                back={
                  search.cursor === undefined
                    ? undefined
                    : () => (router.history.canGoBack() ? router.history.back() : turn(undefined))
                }
                next={next_cursor === null ? undefined : () => turn(next_cursor)}
              />
            </Panel>
          </>
        )}
      </Answer>
      <Refusals />
    </>
  );
}
