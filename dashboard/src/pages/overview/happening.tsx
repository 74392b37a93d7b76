/** What just happened, as it happens. */
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { deed, shortId } from '@/format/names';
import { latency } from '@/format/numbers';
import { span } from '@/format/time';
import type { Event } from '@/live/feed';
import { useConnection, useEvents } from '@/live/live';
import { Empty } from '@/parts/answers';
import { OutcomeMark } from '@/parts/marks';
import { Panel } from '@/parts/panel';
import { reasonWords } from '@/parts/reasons';
import { Ago } from '@/parts/times';
import './happening.css';

/** As many as stand beside the latest sessions. */
const SHOWN_MAX = 11;

export function Happening() {
  const events = useEvents();
  const { phase } = useConnection();
  return (
    <Panel title="Happening now" aside={<Link to="/logs">All requests</Link>} isFlush>
      {events.length === 0 ? (
        <Empty title={phase === 'live' ? 'No activity.' : 'Not live.'}>
          {phase === 'live'
            ? 'Calls and sessions appear here as they happen.'
            : 'Events appear here when the live connection is back.'}
        </Empty>
      ) : (
        <ol className="events">
          {events.slice(0, SHOWN_MAX).map((event) => (
            <li key={event.seq} className="event">
              <span className="event-what cut">{said(event)}</span>
              {event.session_id && (
                <Link to="/sessions/$id" params={{ id: event.session_id }} className="mono">
                  {shortId(event.session_id)}
                </Link>
              )}
              <span className="quiet event-when">
                <Ago time={event.timestamp} />
              </span>
            </li>
          ))}
        </ol>
      )}
    </Panel>
  );
}

function said(event: Event): ReactNode {
  switch (event.type) {
    case 'request':
      return (
        <>
          <OutcomeMark outcome={event.data.status} />
          <span className="mono cut" title={event.data.error_message ?? event.data.method}>
            {deed(event.data)}
          </span>
          <span className="quiet">{latency(event.data.duration_us)}</span>
        </>
      );
    case 'session_created':
      return <>{event.data.client_type} connected</>;
    case 'session_disconnected':
      return (
        <>
          Session ended: {reasonWords(event.data.reason)} after {span(event.data.total_duration)}
        </>
      );
    case 'session_reconnected':
      return <>Session reconnected</>;
  }
}
