/** What requests are estimated to cost, where that goes, and the prices behind it. */
import { useQuery } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { analytics, usage } from '@/api/queries';
import { dollars, NOTHING, short, whole } from '@/format/numbers';
import { utcDay } from '@/format/time';
import { usePolling } from '@/live/live';
import { Answer, Empty } from '@/parts/answers';
import { ColumnsChart } from '@/parts/charts/columns-chart';
import { CostBasis } from '@/parts/cost-basis';
import { Figure, Figures } from '@/parts/figure';
import { PageHead, Panel, Panels } from '@/parts/panel';
import { periodAsked } from '@/parts/period';
import { PeriodChoice } from '@/parts/period-choice';
import { Shares } from '@/parts/shares';
import { Prices } from './prices';

const route = getRouteApi('/costs');

export function Costs() {
  const search = route.useSearch();
  const asked = periodAsked(search);
  const navigate = route.useNavigate();
  const polling = usePolling();
  const used = useQuery({ ...usage(asked), ...polling });
  const trends = useQuery({ ...analytics(asked), ...polling });
  return (
    <>
      <PageHead name="Costs" note="estimates from the text that crosses, not a bill">
        <PeriodChoice search={search} choose={(chosen) => void navigate({ search: chosen })} />
      </PageHead>
      <Answer query={used} rows={8}>
        {({ summary, by_tool, by_client, by_user }) => (
          <>
            <Figures label="This period">
              <Figure name="Estimated cost" value={dollars(summary.total_cost)} note={<CostBasis />} />
              <Figure
                name="Tokens of calls"
                value={short(summary.total_prompt_tokens)}
                note="written by the model: output price"
              />
              <Figure
                name="Tokens of results"
                value={short(summary.total_completion_tokens)}
                note="read by the model: input price"
              />
              <Figure name="Requests" value={short(summary.total_requests)} />
              <Figure
                name="Per session"
                value={
                  summary.unique_sessions === 0
                    ? NOTHING
                    : dollars(summary.total_cost / summary.unique_sessions)
                }
                note={`${whole(summary.unique_sessions)} sessions`}
              />
            </Figures>
            <Panel title="Cost per day" aside="days in UTC">
              <Answer query={trends}>
                {({ trends: { daily } }) =>
                  daily.every(({ requests }) => requests === 0) ? (
                    <Empty title="No requests in this period." />
                  ) : (
                    <ColumnsChart
                      label={`Estimated cost per day, ${daily.length} days`}
                      rows={daily}
                      at={(day) => utcDay(day.date)}
                      columns={{ name: 'Estimated cost', value: (day) => day.cost, show: dollars }}
                    />
                  )
                }
              </Answer>
            </Panel>
            <Panels>
              <Panel title="By tool">
                <Shares label="Cost by tool" names="tool" of={by_tool} by="cost" />
              </Panel>
              <Panel title="By client">
                <Shares label="Cost by client" names="client" of={by_client} by="cost" />
              </Panel>
              <Panel title="By user">
                <Shares label="Cost by user" names="user" of={by_user} by="cost" />
              </Panel>
            </Panels>
          </>
        )}
      </Answer>
      <Prices />
    </>
  );
}
