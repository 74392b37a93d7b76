/** Why sessions ended in the last week. */
import { useQuery } from '@tanstack/react-query';
import { disconnected } from '@/api/queries';
import { usePolling } from '@/live/live';
import { Answer, Empty } from '@/parts/answers';
import { Bars } from '@/parts/bars';
import { Panel } from '@/parts/panel';
import { reasonWords } from '@/parts/reasons';

const DAYS = 7;

export function Reasons() {
  // Only its statistics are shown; one row is the fewest there can be.
  const query = useQuery({ ...disconnected(DAYS, 1), ...usePolling() });
  return (
    <Panel title="Why sessions ended" aside={`last ${DAYS} days`}>
      <Answer query={query}>
        {({ statistics }) => {
          const reasons = Object.entries(statistics.disconnect_reasons).sort((a, b) => b[1] - a[1]);
          if (reasons.length === 0) return <Empty title="No ended sessions." />;
          return (
            <Bars
              label="Ended sessions by reason"
              bars={reasons.map(([reason, count]) => ({
                name: reasonWords(reason),
                count,
                tone: reason === 'error' ? ('bad' as const) : undefined,
              }))}
              of={statistics.total_disconnected}
            />
          );
        }}
      </Answer>
    </Panel>
  );
}
