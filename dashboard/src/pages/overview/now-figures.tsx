/** The figures of this moment. */
import { Link } from '@tanstack/react-router';
import type { SessionsHealth } from '@/api/types';
import { latency, NOTHING, percent, rate, whole } from '@/format/numbers';
import { Figure, Figures } from '@/parts/figure';
import { useCallsNow } from './pulse';
import { PulseStrip } from './pulse-strip';

export function NowFigures({ health }: { health: SessionsHealth }) {
  const { active, disconnected, total } = health.status_breakdown;
  const pulse = useCallsNow();
  const hasCalls = pulse !== undefined && pulse.calls > 0;
  return (
    <div className="now">
      <Figures label="Now">
        <Figure
          name="Active sessions"
          value={
            <Link to="/sessions" className="figure-link">
              {whole(active)}
            </Link>
          }
        />
        <Figure
          name="Ended sessions"
          value={
            <Link to="/sessions" search={{ status: 'disconnected' }} className="figure-link">
              {whole(disconnected)}
            </Link>
          }
        />
        <Figure name="Total sessions" value={whole(total)} />
        <Figure name="Calls per second" value={pulse ? rate(pulse.perSecond) : NOTHING} note="last minute" />
        <Figure
          name="Failed calls"
          value={hasCalls ? percent(pulse.failedPercent) : NOTHING}
          tone={hasCalls && pulse.failedPercent >= 5 ? 'bad' : undefined}
          note="last minute"
        />
        <Figure name="Median call" value={hasCalls ? latency(pulse.p50Us) : NOTHING} note="p50" />
        <Figure name="Slow calls" value={hasCalls ? latency(pulse.p95Us) : NOTHING} note="p95" />
      </Figures>
      <PulseStrip pulse={pulse} />
    </div>
  );
}
