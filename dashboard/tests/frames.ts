/** Frames as a server sends them. */
import { snapshot } from '../mock/live.ts';
import { makeWorld, type World } from '../mock/world.ts';
import type { Frame, Request, SessionsHealth } from '../src/api/types.ts';

export const NOW = Date.parse('2026-03-01T12:00:00Z');

export function world(): World {
  return makeWorld(NOW, { sessions: 12, active: 4 });
}

export function snapshotFrame(of: World = world()): Extract<Frame, { type: 'snapshot' | 'resync' }> {
  return snapshot(of) as Extract<Frame, { type: 'snapshot' | 'resync' }>;
}

export function healthFrame(seq: number, health: SessionsHealth): Frame {
  return { type: 'health_update', seq, data: health, timestamp: '2026-03-01T12:00:00Z' };
}

export function requestFrame(seq: number, request: Partial<Request> & { session_id: string }): Frame {
  const full: Request = {
    id: null,
    method: 'tools/call',
    tool_name: 'find_tasks',
    upstream: 'demo',
    timestamp: '2026-03-01T12:00:00Z',
    duration_ms: 2,
    duration_us: 2_000,
    status: 'success',
    error_message: null,
    prompt_tokens: 1,
    completion_tokens: 1,
    estimated_cost: 0,
    request_bytes: 1,
    response_bytes: 1,
    model: null,
    ...request,
  };
  return { type: 'request', seq, session_id: full.session_id, data: full, timestamp: full.timestamp };
}
