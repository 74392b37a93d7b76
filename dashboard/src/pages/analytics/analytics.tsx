/** How things went over days, against the days before, and by whom. */
import { useQuery } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { analytics, usage } from '@/api/queries';
import type { Analytics } from '@/api/types';
import { latency, percent, short, whole } from '@/format/numbers';
import { utcDay } from '@/format/time';
import { usePolling } from '@/live/live';
import { Answer, Empty } from '@/parts/answers';
import { ColumnsChart } from '@/parts/charts/columns-chart';
import { Figure, Figures } from '@/parts/figure';
import { PageHead, Panel, Panels } from '@/parts/panel';
import { periodAsked } from '@/parts/period';
import { PeriodChoice } from '@/parts/period-choice';
import { Shares } from '@/parts/shares';
import { Comparison } from './comparison';

const route = getRouteApi('/analytics');

export function AnalyticsView() {
  const search = route.useSearch();
  const asked = periodAsked(search);
  const navigate = route.useNavigate();
  const polling = usePolling();
  const query = useQuery({ ...analytics(asked), ...polling });
  const used = useQuery({ ...usage(asked), ...polling });
  return (
    <>
      <PageHead name="Analytics">
        <PeriodChoice search={search} choose={(chosen) => void navigate({ search: chosen })} />
      </PageHead>
      <Answer query={query} rows={10}>
        {(data) => (
          <>
            {data.comparison && <Comparison comparison={data.comparison} days={data.period.days} />}
            <Panels isWide>
              <Daily trends={data.trends} />
              <Hourly trends={data.trends} />
            </Panels>
            <Times data={data} />
          </>
        )}
      </Answer>
      <Panels isWide>
        <Panel title="By client">
          <Answer query={used}>
            {(data) => <Shares label="Requests by client" names="client" of={data.by_client} />}
          </Answer>
        </Panel>
        <Panel title="By user">
          <Answer query={used}>
            {(data) => <Shares label="Requests by user" names="user" of={data.by_user} />}
          </Answer>
        </Panel>
      </Panels>
    </>
  );
}

function Daily({ trends }: { trends: Analytics['trends'] }) {
  return (
    <Panel title="Requests per day" aside="days in UTC">
      {isEmpty(trends.daily) ? (
        <Empty title="No requests in this period." />
      ) : (
        <ColumnsChart
          label={`Requests and success rate per day, ${trends.daily.length} days`}
          rows={trends.daily}
          at={(day) => utcDay(day.date)}
          columns={{ name: 'Requests', value: (day) => day.requests, show: short }}
          line={{
            name: 'Succeeded',
            value: (day) => (day.requests === 0 ? undefined : day.success_rate),
            show: (value) => percent(value, 1),
          }}
        />
      )}
    </Panel>
  );
}

function Hourly({ trends }: { trends: Analytics['trends'] }) {
  return (
    <Panel title="Requests by hour of the day" aside="hours in UTC">
      {isEmpty(trends.hourly) ? (
        <Empty title="No requests in this period." />
      ) : (
        <ColumnsChart
          label="Requests and average duration by hour of the day"
          rows={trends.hourly}
          at={(hour) => `${String(hour.hour).padStart(2, '0')}:00`}
          columns={{ name: 'Requests', value: (hour) => hour.requests, show: short }}
          line={{
            name: 'Average duration',
            value: (hour) => (hour.requests === 0 ? undefined : hour.avg_duration * 1_000),
            show: latency,
          }}
        />
      )}
    </Panel>
  );
}

function Times({ data: { ratios, response_times: times } }: { data: Analytics }) {
  return (
    <Figures label="Outcomes and response times">
      <Figure name="Succeeded" value={whole(ratios.success)} note={percent(ratios.success_rate, 2)} />
      <Figure name="Errors" value={whole(ratios.error)} tone={ratios.error > 0 ? 'bad' : undefined} />
      <Figure name="Timeouts" value={whole(ratios.timeout)} tone={ratios.timeout > 0 ? 'warn' : undefined} />
      <Figure name="Median" value={latency(times.p50 * 1_000)} note="p50" />
      <Figure name="p95" value={latency(times.p95 * 1_000)} />
      <Figure name="p99" value={latency(times.p99 * 1_000)} />
    </Figures>
  );
}

/** Days and hours without a request may be listed or left out. */
function isEmpty(rows: readonly { requests: number }[]): boolean {
  return rows.every(({ requests }) => requests === 0);
}
