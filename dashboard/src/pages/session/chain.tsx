/** The sessions before and after: one client that was silent for too long and came back. */
import { useQueries } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { session as sessionQuery } from '@/api/queries';
import type { Session, SessionPage } from '@/api/types';
import { shortId } from '@/format/names';
import { Empty } from '@/parts/answers';
import { StatusMark } from '@/parts/marks';
import { Panel } from '@/parts/panel';
import { reasonWords } from '@/parts/reasons';
import { When } from '@/parts/times';
import './chain.css';

export function Chain({ page }: { page: SessionPage }) {
  const others = [page.continues, page.continued_by].filter((id) => id !== null);
  const answers = useQueries({ queries: others.map((id) => sessionQuery(id)) });
  const known = new Map(
    answers.flatMap(({ data }) => (data ? [[data.session.session_id, data.session] as const] : [])),
  );
  return (
    <Panel title="Chain" aside="sessions that continue each other">
      {others.length === 0 ? (
        <Empty title="This session stands alone.">
          A client that comes back after an idle timeout gets a session that continues its last one.
        </Empty>
      ) : (
        <ol className="chain">
          {page.continues && <Step id={page.continues} session={known.get(page.continues)} />}
          <Step id={page.session.session_id} session={page.session} isHere />
          {page.continued_by && <Step id={page.continued_by} session={known.get(page.continued_by)} />}
        </ol>
      )}
    </Panel>
  );
}

function Step({
  id,
  session,
  isHere = false,
}: {
  id: string;
  session: Session | undefined;
  isHere?: boolean;
}) {
  return (
    <li className="chain-step" aria-current={isHere || undefined}>
      {isHere ? (
        <span className="mono">{shortId(id)}</span>
      ) : (
        <Link to="/sessions/$id" params={{ id }} className="mono">
          {shortId(id)}
        </Link>
      )}
      {session && (
        <>
          <StatusMark status={session.status} />
          <span className="quiet">
            from <When time={session.connected_at} />
            {session.disconnect_reason && `, ${reasonWords(session.disconnect_reason)}`}
          </span>
        </>
      )}
    </li>
  );
}
