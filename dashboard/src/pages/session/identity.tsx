/** Whose session it is, and how its client speaks. */
import { Link } from '@tanstack/react-router';
import type { Session } from '@/api/types';
import { NOTHING } from '@/format/numbers';
import { moment, span } from '@/format/time';
import { CopyText } from '@/parts/copy-text';
import { Fact, Facts } from '@/parts/figure';
import { Panel } from '@/parts/panel';

export function Identity({ session, losesState }: { session: Session; losesState: boolean }) {
  const capabilities = Object.keys(session.client_capabilities ?? {});
  return (
    <Panel title="Client">
      <Facts>
        <Fact name="Session id">
          <CopyText text={session.session_id} />
        </Fact>
        <Fact name="Name and version">
          {session.client_name ?? NOTHING} <span className="quiet">{session.client_version}</span>
        </Fact>
        <Fact name="User">
          {session.user_id === null ? (
            <span className="quiet">anonymous</span>
          ) : (
            <Link to="/sessions" search={{ user: session.user_id, status: 'all' }}>
              {session.user_email ?? session.user_name ?? session.user_id}
            </Link>
          )}
        </Fact>
        <Fact name="Protocol">
          {session.protocol_version} <span className="quiet">{session.era}</span>
        </Fact>
        <Fact name="Capabilities">{capabilities.length === 0 ? NOTHING : capabilities.join(', ')}</Fact>
        {losesState && (
          <Fact name="Upstream state">
            Not kept between calls: the client stores no cookies and sends no client key.
          </Fact>
        )}
        <Fact name="Connected">{moment(session.connected_at)}</Fact>
        {session.disconnected_at && <Fact name="Ended">{moment(session.disconnected_at)}</Fact>}
        <Fact name="Idle timeout">{span(session.idle_timeout_seconds)}</Fact>
        {session.reconnect_count > 0 && <Fact name="Reconnected">{session.reconnect_count} times</Fact>}
      </Facts>
    </Panel>
  );
}
