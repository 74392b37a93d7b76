/** The sessions before and after: one client that was silent for too long and came back; and who took it back. */
import { Link } from '@tanstack/react-router';
import type { Attempt, ChainedSession, SessionPage } from '@/api/types';
import { shortId } from '@/format/names';
import { secondsSince, span } from '@/format/time';
import { Empty } from '@/parts/answers';
import { Mark } from '@/parts/marks';
import { Panel } from '@/parts/panel';
import { reasonWord } from '@/parts/reasons';
import { When } from '@/parts/times';
import { attemptWords } from './life';
import './chain.css';

export function Chain({ page: { session, chain, reconnect_attempts: attempts } }: { page: SessionPage }) {
  const isAlone = chain.before.length === 0 && chain.after.length === 0;
  return (
    <Panel title="Chain" aside="earlier and later sessions of this client">
      {isAlone ? (
        <Empty title="No related sessions.">
          A client that comes back after an idle timeout gets a session that continues its last one.
        </Empty>
      ) : (
        <ol className="chain">
          {chain.before.toReversed().map((other) => (
            <Step key={other.session_id} session={other} />
          ))}
          <Step session={session} isHere />
          {chain.after.map((other) => (
            <Step key={other.session_id} session={other} />
          ))}
        </ol>
      )}
      {attempts.length > 0 && <Attempts attempts={attempts} />}
    </Panel>
  );
}

function Step({ session, isHere = false }: { session: ChainedSession; isHere?: boolean }) {
  const { session_id: id, connected_at, disconnected_at, disconnect_reason: reason } = session;
  const lasted = disconnected_at !== null && span(secondsSince(connected_at, Date.parse(disconnected_at)));
  return (
    <li className="chain-step" aria-current={isHere || undefined}>
      {isHere ? (
        <span className="mono">{shortId(id)}</span>
      ) : (
        <Link to="/sessions/$id" params={{ id }} className="mono">
          {shortId(id)}
        </Link>
      )}
      {disconnected_at === null ? (
        <Mark tone="good" word="active" />
      ) : (
        <Mark tone="quiet" word={reason === null ? 'ended' : reasonWord(reason)} />
      )}
      <span className="quiet">
        from <When time={connected_at} toTheMinute />
        {lasted && `, for ${lasted}`}
      </span>
    </li>
  );
}

function Attempts({ attempts }: { attempts: readonly Attempt[] }) {
  return (
    <>
      <h3 className="chain-head">Reconnect attempts</h3>
      <ul className="chain-attempts">
        {attempts.map((attempt) => (
          <li key={`${attempt.timestamp} ${attempt.result}`} className="chain-step">
            <Mark
              tone={attempt.result === 'reconnected' ? 'good' : 'warn'}
              word={attemptWords(attempt.result)}
            />
            <span className="quiet">
              <When time={attempt.timestamp} />
              {attempt.peer !== null && ` from ${attempt.peer}`}
            </span>
          </li>
        ))}
      </ul>
    </>
  );
}
