/** How long active sessions have been silent. */
import type { SessionsHealth } from '@/api/types';
import { Empty } from '@/parts/answers';
import { type Bar, Bars } from '@/parts/bars';
import { Panel } from '@/parts/panel';

type Ages = SessionsHealth['age_distribution'];

const NAMES: Record<keyof Ages, { name: string; note: string; tone?: Bar['tone'] }> = {
  healthy: { name: 'Healthy', note: 'under 5 min' },
  aging: { name: 'Aging', note: '5 to 10 min', tone: 'warn' },
  stale: { name: 'Stale', note: 'over 10 min', tone: 'bad' },
};

export function Ages({ ages }: { ages: Ages }) {
  const bars = (Object.keys(NAMES) as (keyof Ages)[]).map((age) => ({ ...NAMES[age], count: ages[age] }));
  const total = ages.healthy + ages.aging + ages.stale;
  return (
    <Panel title="Idle time of active sessions" aside="since the last activity">
      {total === 0 ? (
        <Empty title="No active sessions.">Clients appear here with their first call.</Empty>
      ) : (
        <Bars label="Active sessions by idle time" bars={bars} of={total} />
      )}
    </Panel>
  );
}
