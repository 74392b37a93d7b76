import { expect, it } from 'vitest';
import { NOW, requestFrame, world } from '../../../tests/frames';
import { lifeOf } from './life';

function at(secondsAgo: number) {
  return new Date(NOW - secondsAgo * 1_000).toISOString();
}

function call(tool_name: string, secondsAgo: number, status: 'success' | 'error' = 'success') {
  const frame = requestFrame(1, { session_id: 'x', tool_name, timestamp: at(secondsAgo), status });
  if (frame.type !== 'request') throw new Error('not a request');
  return frame.data;
}

it('tells what happened to a session in order', () => {
  const [session] = world().sessions;
  if (!session) throw new Error('the world is empty');
  const ended = {
    ...session,
    connected_at: at(100),
    continues: null,
    disconnected_at: at(1),
    disconnect_reason: 'client_disconnect',
  };
  const attempt = { principal: 'anonymous', peer: null };
  const life = lifeOf(
    ended,
    [call('heartbeat', 40), call('find_tasks', 50), call('heartbeat', 45, 'error')],
    [
      { ...attempt, timestamp: at(20), result: 'reconnected' },
      { ...attempt, timestamp: at(30), result: 'token_expired' },
    ],
  );
  expect(life.map(({ kind, said }) => `${kind}: ${said}`)).toEqual([
    'began: connected',
    'heartbeat: heartbeat',
    'refused: refused: token expired',
    'reconnected: reconnected',
    'ended: client left',
  ]);
});
