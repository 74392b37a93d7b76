/** How the server is, in one line, on every page. */
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { status } from '@/api/queries';
import type { ServiceStatus } from '@/api/types';
import { whole } from '@/format/numbers';
import { span } from '@/format/time';
import { useNow } from '@/parts/clock';
import { Mark, type Tone } from '@/parts/marks';
import { LiveMark } from './live-mark';

/** The bar is asked for by itself while everything else is live: no event tells of upstreams. */
const STATUS_MS = 10_000;

/** Rows always wait a little, for the next batch. A batch has at most so many: more are a store that does not keep up. */
const QUEUED_MANY = 1_000;

interface StatusBarProps {
  isNavOpen: boolean;
  toggleNav: () => void;
}

export function StatusBar({ isNavOpen, toggleNav }: StatusBarProps) {
  const query = useQuery({ ...status, refetchInterval: STATUS_MS });
  return (
    <header className="bar-top">
      <button
        type="button"
        className="nav-toggle"
        aria-label="Pages"
        aria-expanded={isNavOpen}
        aria-controls="nav"
        onClick={toggleNav}
      >
        <span aria-hidden="true">{isNavOpen ? '×' : '☰'}</span>
      </button>
      <Link to="/" className="brand">
        <img src="/mark.svg" alt="" width={18} height={18} />
        Archon Sessions
      </Link>
      <div className="bar-states">
        {query.data && <States status={query.data} isOld={query.isError} at={query.dataUpdatedAt} />}
      </div>
      <LiveMark />
    </header>
  );
}

function States({ status, isOld, at }: { status: ServiceStatus; isOld: boolean; at: number }) {
  const now = useNow();
  const upstreams = Object.entries(status.upstreams);
  const lost = status.store.dropped_rows + status.store.lost_rows;
  return (
    <ul className="states" aria-label="State of the server">
      <li>
        <Mark
          tone={isOld ? 'bad' : 'good'}
          word={isOld ? 'server not responding' : `server ${status.version}`}
        />
      </li>
      <li title={status.store.reason ?? undefined}>
        <Mark {...storeShown(status)} />
      </li>
      {lost > 0 && (
        <li>
          <Mark tone="warn" word={`${whole(lost)} rows lost`} />
        </li>
      )}
      <li title={upstreams.map(([name, upstream]) => `${name}: ${upstream.status}`).join('\n')}>
        <Mark {...upstreamsShown(status)} />
      </li>
      {!isOld && (
        <li className="quiet bar-uptime">up {span(status.uptime + Math.max(0, now - at) / 1_000)}</li>
      )}
    </ul>
  );
}

/** What nobody has heard of yet is not well. */
function upstreamsShown({ upstreams }: ServiceStatus): { tone: Tone; word: string } {
  const all = Object.entries(upstreams);
  const named = (status: string) => all.filter(([, of]) => of.status === status).map(([name]) => name);
  const [down, unknown] = [named('down'), named('unknown')];
  if (down.length > 0) return { tone: 'bad', word: `upstream down: ${down.join(', ')}` };
  if (unknown.length > 0) return { tone: 'quiet', word: `upstream not contacted yet: ${unknown.join(', ')}` };
  return { tone: 'good', word: `${all.length} ${all.length === 1 ? 'upstream' : 'upstreams'}` };
}

function storeShown({ store }: ServiceStatus): { tone: Tone; word: string } {
  if (store.status !== 'healthy') return { tone: 'bad', word: 'store unavailable' };
  if (store.queued_rows >= QUEUED_MANY)
    return { tone: 'warn', word: `store behind: ${whole(store.queued_rows)} queued rows` };
  return { tone: 'good', word: 'store' };
}
