/** What happened to a session itself, beside its requests: when it began, was taken back, gave a sign of life, ended. */
import type { Request, Session } from '@/api/types';
import { reasonWords } from '@/parts/reasons';
import { startOf } from './range';

export interface Happening {
  at: number;
  kind: 'began' | 'reconnected' | 'heartbeat' | 'ended';
  said: string;
}

/** The gateway's own tools that say something about the session; they are ours under either name. */
const HEARTBEAT = /^(archon_)?heartbeat$/;
const RECONNECT = /^(archon_)?reconnect_session$/;

/** What is known of it from the session and its requests, in order. */
export function lifeOf(session: Session, requests: readonly Request[]): Happening[] {
  const life: Happening[] = [
    {
      at: Date.parse(session.connected_at),
      kind: 'began',
      said: session.continues === null ? 'connected' : 'continued an earlier session',
    },
  ];
  for (const request of requests) {
    const tool = request.tool_name ?? '';
    if (request.status !== 'success') continue;
    if (HEARTBEAT.test(tool)) life.push({ at: startOf(request), kind: 'heartbeat', said: 'heartbeat' });
    if (RECONNECT.test(tool))
      life.push({ at: startOf(request), kind: 'reconnected', said: 'taken back by its client' });
  }
  if (session.disconnected_at !== null) {
    life.push({
      at: Date.parse(session.disconnected_at),
      kind: 'ended',
      said: reasonWords(session.disconnect_reason) || 'ended',
    });
  }
  return life.sort((a, b) => a.at - b.at);
}

/** Whether a request is drawn as what happened to the session instead. */
export function isHeartbeat(request: Request): boolean {
  return request.tool_name !== null && HEARTBEAT.test(request.tool_name);
}
