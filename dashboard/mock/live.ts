/** What happens next in the invented world, as frames of the WebSocket. */
import type { Frame } from '../src/api/types.ts';
import { healthOf } from './reports.ts';
import { addSession, IDLE_TIMEOUT_S, iso, makeRequest, updateTypeOf, type World } from './world.ts';

/** How many sessions a snapshot shows at most. */
const SNAPSHOT_MAX = 200;
/** A health frame is due this often. */
const HEALTH_MS = 5_000;

let healthAt = 0;

export function snapshot(world: World): Frame {
  const active = world.sessions.filter((session) => session.status === 'active');
  const data = {
    health: healthOf(world, Date.now()),
    sessions: active.slice(0, SNAPSHOT_MAX),
    total: active.length,
    epoch: world.startedAt,
  };
  return { type: 'snapshot', seq: world.seq, data, timestamp: iso(Date.now()) };
}

/** Something happens: mostly a call, now and then a client that comes or goes. */
export function goOn(world: World): Frame[] {
  const now = Date.now();
  const timestamp = iso(now);
  const frames: Frame[] = [];
  const chance = world.random();
  const active = world.sessions.filter((session) => session.status === 'active');
  const session = active[Math.floor(world.random() ** 2 * active.length)];
  if (chance < 0.01 || !session) {
    const created = addSession(world, now, now, true);
    frames.push({
      type: 'session_created',
      seq: ++world.seq,
      session_id: created.session_id,
      data: created,
      timestamp,
    });
  } else if (chance < 0.018 && active.length > 20) {
    session.status = 'disconnected';
    session.disconnected_at = timestamp;
    session.disconnect_reason = 'client_disconnect';
    session.total_duration = Math.round((now - Date.parse(session.connected_at)) / 1000);
    frames.push({
      type: 'session_disconnected',
      seq: ++world.seq,
      session_id: session.session_id,
      data: { reason: 'client_disconnect', total_duration: session.total_duration },
      timestamp,
    });
  } else {
    const request = makeRequest(world, session, now);
    world.requests.push({ ...request, id: world.requests.length + 1 });
    session.last_activity = timestamp;
    session.expires_at = iso(now + IDLE_TIMEOUT_S * 1000);
    const session_id = session.session_id;
    frames.push({ type: 'request', seq: ++world.seq, session_id, data: request, timestamp });
    const data = { update_type: updateTypeOf(request), last_activity: timestamp };
    frames.push({ type: 'session_updated', seq: ++world.seq, session_id, data, timestamp });
  }
  if (now - healthAt > HEALTH_MS) {
    healthAt = now;
    frames.push({ type: 'health_update', seq: world.seq, data: healthOf(world, now), timestamp });
  }
  return frames;
}
