/** What happened to a session itself, beside its requests: when it began, was taken back, gave a sign of life, ended. */
import type { Attempt, Request, Session } from '@/api/types';
import { reasonWords } from '@/parts/reasons';
import { startOf } from './range';

export interface Happening {
  at: number;
  kind: 'began' | 'reconnected' | 'refused' | 'heartbeat' | 'ended';
  said: string;
}

/** The gateway's own tool, under either name. */
const HEARTBEAT = /^(archon_)?heartbeat$/;

/** What is known of it, in order. */
export function lifeOf(
  session: Session,
  requests: readonly Request[],
  attempts: readonly Attempt[],
): Happening[] {
  const life: Happening[] = [
    {
      at: Date.parse(session.connected_at),
      kind: 'began',
      said: session.continues === null ? 'connected' : 'continued an earlier session',
    },
  ];
  for (const request of requests) {
    if (isHeartbeat(request)) life.push({ at: startOf(request), kind: 'heartbeat', said: 'heartbeat' });
  }
  for (const { timestamp, result } of attempts) {
    const kind = result === 'reconnected' ? 'reconnected' : 'refused';
    life.push({ at: Date.parse(timestamp), kind, said: attemptWords(result) });
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
  return request.status === 'success' && request.tool_name !== null && HEARTBEAT.test(request.tool_name);
}

/** The result of an attempt to take a session back, for people. */
export function attemptWords(result: string): string {
  return result === 'reconnected' ? 'reconnected' : `refused: ${result.replaceAll('_', ' ')}`;
}
