/** Sessions that began in the last day. */
import type { SessionsHealth } from '@/api/types';
import { NOTHING, percent, whole } from '@/format/numbers';
import { span } from '@/format/time';
import { Fact, Facts } from '@/parts/figure';
import { Panel } from '@/parts/panel';

export function ConnectionHealth({ health }: { health: SessionsHealth['connection_health'] }) {
  const hasAny = health.total_sessions_24h > 0;
  return (
    <Panel title="Connections" aside="last 24 hours">
      <Facts>
        <Fact name="New sessions">{whole(health.total_sessions_24h)}</Fact>
        <Fact name="Per hour">{health.sessions_per_hour.toLocaleString()}</Fact>
        <Fact name="Average duration">{hasAny ? span(health.avg_duration_seconds) : NOTHING}</Fact>
        <Fact name="Ended">{hasAny ? percent(health.disconnect_rate_percent) : NOTHING}</Fact>
      </Facts>
    </Panel>
  );
}
