/** A session in figures. */
import type { Session, SessionPage } from '@/api/types';
import { dollars, NOTHING, percent, short, whole } from '@/format/numbers';
import { secondsSince, span } from '@/format/time';
import { useNow } from '@/parts/clock';
import { CostBasis } from '@/parts/cost-basis';
import { Figure, Figures } from '@/parts/figure';
import { reasonWords } from '@/parts/reasons';
import { Ago } from '@/parts/times';

export function Summary({ session, summary }: { session: Session; summary: SessionPage['summary'] }) {
  const now = useNow();
  const isActive = session.status === 'active';
  const lasted = isActive ? secondsSince(session.connected_at, now) : session.total_duration;
  const { total_requests: requests, total_errors: errors } = summary;
  return (
    <Figures label="This session">
      <Figure
        name={isActive ? 'Connected for' : 'Duration'}
        value={lasted === null ? NOTHING : span(lasted)}
        note={isActive ? undefined : reasonWords(session.disconnect_reason)}
      />
      {isActive && (
        <Figure
          name="Idle for"
          value={<Ago time={session.last_activity} />}
          note={`ends after ${span(session.idle_timeout_seconds)}`}
        />
      )}
      <Figure name="Requests" value={whole(requests)} />
      <Figure
        name="Failed"
        value={whole(errors)}
        tone={errors > 0 ? 'bad' : undefined}
        note={requests === 0 ? undefined : percent((100 * errors) / requests)}
      />
      <Figure
        name="Tokens"
        value={short(summary.total_tokens)}
        note={`${short(summary.total_prompt_tokens)} in, ${short(summary.total_completion_tokens)} out`}
      />
      <Figure name="Estimated cost" value={dollars(summary.total_cost)} note={<CostBasis />} />
    </Figures>
  );
}
