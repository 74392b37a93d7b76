/** One session: who it is, what it did and when, and what it goes on from. */
import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { me, session as sessionQuery } from '@/api/queries';
import type { SessionPage } from '@/api/types';
import { shortId } from '@/format/names';
import { usePolling } from '@/live/live';
import { Answer } from '@/parts/answers';
import { ClientMark } from '@/parts/client-mark';
import { EndSessions } from '@/parts/end-sessions';
import { StatusMark } from '@/parts/marks';
import { PageHead, Panel, Panels } from '@/parts/panel';
import { Chain } from './chain';
import { Identity } from './identity';
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
      {(page) => <Shown page={page} />}
    </Answer>
  );
}

function Shown({ page }: { page: SessionPage }) {
  const { session, requests, summary } = page;
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
        <Identity session={session} />
        <Chain page={page} />
      </Panels>
      <Panel
        title="Timeline"
        aside={<Shows page={page} within={within.length} isZoomed={range !== undefined} />}
      >
        <Timeline requests={requests} range={range} zoom={setRange} />
      </Panel>
      <Panel title="Requests" aside={range ? 'those of the timeline’s part' : 'the latest first'} isFlush>
        <RequestTable requests={within} />
      </Panel>
      {isEnding && <EndSessions sessions={[session]} close={() => setEnding(false)} />}
    </>
  );
}

function Shows({ page, within, isZoomed }: { page: SessionPage; within: number; isZoomed: boolean }) {
  const { total_requests } = page.summary;
  if (isZoomed) return <>{within} requests in this part</>;
  return total_requests > page.requests.length ? (
    <>
      the latest {page.requests.length} of {total_requests} requests
    </>
  ) : (
    <>{total_requests} requests</>
  );
}
