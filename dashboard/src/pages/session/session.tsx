/** One session: who it is, what it did and when, and what it goes on from. */
import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { me, session as sessionQuery } from '@/api/queries';
import type { SessionPage } from '@/api/types';
import { shortId } from '@/format/names';
import { whole } from '@/format/numbers';
import { usePolling } from '@/live/live';
import { Answer, Failure } from '@/parts/answers';
import { ClientMark } from '@/parts/client-mark';
import { EndSessions } from '@/parts/end-sessions';
import { StatusMark } from '@/parts/marks';
import { PageHead, Panel, Panels } from '@/parts/panel';
import { Chain } from './chain';
import { Identity } from './identity';
import { type KnownRequests, useKnownRequests } from './known-requests';
import { isWithin, type Range } from './range';
import { RequestTable } from './request-table';
import { Summary } from './summary';
import { Timeline } from './timeline';

const route = getRouteApi('/sessions/$id');

export function SessionView() {
  const { id } = route.useParams();
  const query = useQuery({ ...sessionQuery(id), ...usePolling() });
  return (
    <Answer query={query} rows={10}>
      {(page) => <Shown key={id} page={page} />}
    </Answer>
  );
}

function Shown({ page }: { page: SessionPage }) {
  const { session, summary } = page;
  const known = useKnownRequests(page);
  const { requests } = known;
  const { data: who } = useQuery(me);
  const [range, setRange] = useState<Range>();
  const [isEnding, setEnding] = useState(false);
  const within = useMemo(
    () => (range ? requests.filter((request) => isWithin(request, range)) : requests),
    [requests, range],
  );
  const canEnd = who?.role === 'operator' && session.status === 'active';
  return (
    <>
      <PageHead
        name={`${session.client_type} ${shortId(session.session_id)}`}
        title={
          <>
            <ClientMark type={session.client_type} /> {session.client_type}{' '}
            <span className="mono quiet">{shortId(session.session_id)}</span>
          </>
        }
        note={<StatusMark status={session.status} />}
      >
        {canEnd && (
          <Button variant="default" onClick={() => setEnding(true)}>
            End session…
          </Button>
        )}
      </PageHead>
      <Summary session={session} summary={summary} />
      <Panels>
        <Identity session={session} losesState={page.loses_state} />
        <Chain page={page} />
      </Panels>
      <Panel
        title="Timeline"
        aside={<Shows page={page} known={known} within={within.length} isZoomed={range !== undefined} />}
      >
        <Timeline
          session={session}
          requests={requests}
          attempts={page.reconnect_attempts}
          range={range}
          zoom={setRange}
        />
      </Panel>
      <Panel title="Requests" aside={range ? 'in the selected range' : 'latest first'} isFlush>
        <RequestTable requests={within} earlier={range === undefined && <Earlier known={known} />} />
      </Panel>
      {isEnding && (
        <EndSessions sessions={[session]} close={() => setEnding(false)} done={() => setEnding(false)} />
      )}
    </>
  );
}

interface ShowsProps {
  page: SessionPage;
  known: KnownRequests;
  within: number;
  isZoomed: boolean;
}

function Shows({ page, known, within, isZoomed }: ShowsProps) {
  const { total_requests: total } = page.summary;
  if (isZoomed) return <>{whole(within)} requests in this part</>;
  if (total <= known.requests.length) return <>{whole(total)} requests</>;
  return (
    <span className="session-shows">
      the latest {whole(known.requests.length)} of {whole(total)} requests
      {known.hasEarlier && (
        <Button variant="subtle" size="compact-xs" loading={known.isAsking} onClick={known.askEarlier}>
          Earlier ones
        </Button>
      )}
    </span>
  );
}

function Earlier({ known }: { known: KnownRequests }) {
  if (known.error) return <Failure error={known.error} retry={known.askEarlier} />;
  if (!known.hasEarlier) return null;
  return (
    <div className="pages">
      <Button variant="default" loading={known.isAsking} onClick={known.askEarlier}>
        Earlier requests
      </Button>
    </div>
  );
}
