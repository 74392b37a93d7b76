/** Which tools are called, how long they take, and what they cost. */
import { useQuery } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { useMemo } from 'react';
import { analytics, usage } from '@/api/queries';
import type { Analytics, UsageSummary } from '@/api/types';
import { toolId } from '@/format/names';
import { usePolling } from '@/live/live';
import { Answer, Empty } from '@/parts/answers';
import { PercentilesChart } from '@/parts/charts/percentiles-chart';
import { CostBasis } from '@/parts/cost-basis';
import { DataTable } from '@/parts/data-table';
import { PageHead, Panel } from '@/parts/panel';
import { periodAsked } from '@/parts/period';
import { PeriodChoice } from '@/parts/period-choice';
import { COLUMNS, type Tool } from './columns';

const route = getRouteApi('/tools');

/** Beside each other, more are a list. */
const COMPARED_MAX = 12;

export function Tools() {
  const search = route.useSearch();
  const asked = periodAsked(search);
  const navigate = route.useNavigate();
  const polling = usePolling();
  const times = useQuery({ ...analytics(asked), ...polling });
  const used = useQuery({ ...usage(asked), ...polling });
  const tools = useMemo(() => join(times.data, used.data), [times.data, used.data]);
  return (
    <>
      <PageHead name="Tools">
        <PeriodChoice search={search} choose={(chosen) => void navigate({ search: chosen })} />
      </PageHead>
      <Panel title="Response times" aside="p50 · p95 · p99 of answered calls">
        <Answer query={times}>
          {({ response_times }) =>
            response_times.by_tool.every((tool) => tool.p99 === 0) ? (
              <Empty title="No answered tool calls in this period." />
            ) : (
              <PercentilesChart tools={response_times.by_tool.slice(0, COMPARED_MAX)} />
            )
          }
        </Answer>
      </Panel>
      <Panel title="All tools" aside={<CostBasis />} isFlush>
        <Answer query={times} rows={8}>
          {() => (
            <DataTable
              label="Tools"
              columns={COLUMNS}
              rows={tools}
              rowId={toolId}
              sorting={[{ id: 'count', desc: true }]}
              empty={<Empty title="No tool calls in this period.">Choose a longer period.</Empty>}
            />
          )}
        </Answer>
      </Panel>
    </>
  );
}

function join(times: Analytics | undefined, used: UsageSummary | undefined): Tool[] {
  const usage = new Map(Object.values(used?.by_tool ?? {}).map((tool) => [toolId(tool), tool]));
  return (times?.response_times.by_tool ?? []).map((tool) => ({ ...tool, usage: usage.get(toolId(tool)) }));
}
