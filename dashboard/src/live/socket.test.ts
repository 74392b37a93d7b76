import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Frame } from '@/api/types';
import { requestFrame, snapshotFrame } from '../../tests/frames';
import { TestSockets } from '../../tests/sockets';
import { LiveSocket, SILENCE_MAX_MS } from './socket';

let sockets: TestSockets;
let heard: Frame[];
let live: LiveSocket;

beforeEach(() => {
  vi.useFakeTimers();
  sockets = new TestSockets();
  heard = [];
  live = new LiveSocket('ws://test/ws', (frame) => heard.push(frame), {
    open: sockets.open,
    now: () => Date.now(),
    chance: () => 1,
  });
  live.start();
});

afterEach(() => {
  live.stop();
  vi.useRealTimers();
});

it('is live once a frame arrives, not when the socket opens', () => {
  expect(live.connection().phase).toBe('connecting');
  sockets.latest.say(snapshotFrame());
  expect(live.connection().phase).toBe('live');
  expect(heard).toHaveLength(1);
});

it('polls when the socket closes, and comes back by itself, later each time', () => {
  sockets.latest.say(snapshotFrame());
  sockets.latest.drop();
  expect(live.connection()).toMatchObject({ phase: 'polling', failures: 1 });
  vi.advanceTimersByTime(1_000);
  expect(live.connection().phase).toBe('retrying');
  expect(sockets.opened).toHaveLength(2);

  sockets.latest.drop();
  vi.advanceTimersByTime(1_999);
  expect(sockets.opened).toHaveLength(2);
  vi.advanceTimersByTime(1);
  expect(sockets.opened).toHaveLength(3);
  sockets.latest.say(snapshotFrame());
  expect(live.connection()).toEqual({ phase: 'live', failures: 0 });
});

it('asks for what it missed', () => {
  const snapshot = snapshotFrame();
  sockets.latest.say({ ...snapshot, seq: 40 });
  sockets.latest.say(requestFrame(41, { session_id: 'x' }));
  expect(sockets.latest.url).toBe('ws://test/ws');
  sockets.latest.drop();
  vi.advanceTimersByTime(1_000);
  expect(sockets.latest.url).toBe(`ws://test/ws?since=41&epoch=${snapshot.data.epoch}`);
});

it('takes silence for the end: a network that went away closes nothing', () => {
  const first = sockets.latest;
  first.say(snapshotFrame());
  vi.advanceTimersByTime(SILENCE_MAX_MS - 1);
  expect(live.connection().phase).toBe('live');
  vi.advanceTimersByTime(1);
  expect(live.connection().phase).toBe('polling');
  expect(first.isClosed).toBe(true);
});

it('does not listen to a socket that it has let go', () => {
  const first = sockets.latest;
  first.say(snapshotFrame());
  vi.advanceTimersByTime(SILENCE_MAX_MS);
  first.say(snapshotFrame());
  first.drop();
  expect(heard).toHaveLength(1);
  expect(live.connection()).toMatchObject({ phase: 'polling', failures: 1 });
});

it('tries at once when asked to', () => {
  sockets.latest.drop();
  live.retryNow();
  expect(sockets.opened).toHaveLength(2);
  vi.advanceTimersByTime(1_000);
  expect(sockets.opened, 'the timer of before is gone').toHaveLength(2);
});

it('leaves alone what is no frame of ours', () => {
  for (const text of ['', 'null', '[]', '{"type":"news","seq":1,"data":{}}', '{"type":"request"}', '{']) {
    sockets.latest.say(text);
  }
  expect(heard).toEqual([]);
  expect(live.connection().phase).toBe('connecting');
});

it('opens nothing more once it is stopped, and can be started again', () => {
  sockets.latest.drop();
  live.stop();
  vi.advanceTimersByTime(60_000);
  expect(sockets.opened).toHaveLength(1);
  live.start();
  expect(sockets.opened).toHaveLength(2);
});

it('polls where a socket cannot even be made', () => {
  live.stop();
  const broken = new LiveSocket('ws://test/ws', () => {}, {
    open: () => {
      throw new Error('refused');
    },
    now: () => Date.now(),
    chance: () => 1,
  });
  broken.start();
  expect(broken.connection().phase).toBe('polling');
  broken.stop();
});
