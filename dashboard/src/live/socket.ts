/** The page's one WebSocket: opens it, notices when it has died, and comes back by itself. */
import type { Frame } from '@/api/types';
import { type Connection, type Move, next, START } from './connection';
import { readFrame } from './read-frame';

/** `health_update` comes every 5 s: after three missed ones nobody is there. */
export const SILENCE_MAX_MS = 16_000;

export interface SocketParts {
  open: (url: string) => WebSocket;
  now: () => number;
  chance: () => number;
}

const BROWSER: SocketParts = {
  open: (url) => new WebSocket(url),
  now: () => Date.now(),
  chance: () => Math.random(),
};

export class LiveSocket {
  #connection: Connection = START;
  #socket: WebSocket | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The latest event, and the process that numbers them: what to go on from. */
  #latest: { seq: number; epoch: number } | undefined;
  #isStopped = true;
  readonly #watchers = new Set<() => void>();
  readonly #url: string;
  readonly #onFrame: (frame: Frame) => void;
  readonly #parts: SocketParts;

  constructor(url: string, onFrame: (frame: Frame) => void, parts: SocketParts = BROWSER) {
    this.#url = url;
    this.#onFrame = onFrame;
    this.#parts = parts;
  }

  /** Starts, or starts again after `stop`. */
  start(): void {
    if (!this.#isStopped) return;
    this.#isStopped = false;
    this.#open();
  }

  stop(): void {
    this.#isStopped = true;
    this.#letGo();
    this.#connection = START;
  }

  /** Tries at once instead of at `retryAt`: the network came back, or somebody asked. */
  retryNow(): void {
    if (this.#connection.phase === 'polling' && !this.#isStopped) this.#retry();
  }

  connection = (): Connection => this.#connection;

  /** Tells of every change of `connection`; returns how to stop that. */
  watch = (watcher: () => void): (() => void) => {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  };

  #open(): void {
    const since = this.#latest ? `?since=${this.#latest.seq}&epoch=${this.#latest.epoch}` : '';
    let socket: WebSocket;
    try {
      socket = this.#parts.open(this.#url + since);
    } catch {
      this.#lost();
      return;
    }
    this.#socket = socket;
    this.#watchSilence();
    socket.onmessage = (message: MessageEvent<unknown>) => {
      if (socket !== this.#socket) return;
      this.#watchSilence();
      const frame = readFrame(message.data);
      if (!frame) return;
      const epoch = isWhole(frame) ? frame.data.epoch : this.#latest?.epoch;
      this.#latest = epoch === undefined ? undefined : { seq: frame.seq, epoch };
      this.#move({ type: 'frame' });
      this.#onFrame(frame);
    };
    socket.onclose = () => {
      if (socket === this.#socket) this.#lost();
    };
  }

  #lost(): void {
    this.#letGo();
    this.#move({ type: 'lost', now: this.#parts.now(), chance: this.#parts.chance() });
    const connection = this.#connection;
    if (connection.phase !== 'polling') return;
    this.#timer = setTimeout(() => this.#retry(), connection.retryAt - this.#parts.now());
  }

  #retry(): void {
    this.#letGo();
    this.#move({ type: 'retry' });
    this.#open();
  }

  #watchSilence(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#lost(), SILENCE_MAX_MS);
  }

  /** Lets go of the socket and the timer. What the socket still says is not ours any more. */
  #letGo(): void {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }

  #move(move: Move): void {
    const connection = next(this.#connection, move);
    if (connection === this.#connection) return;
    this.#connection = connection;
    for (const watcher of this.#watchers) watcher();
  }
}

/** Such a frame says how everything is, and who numbers what follows. */
function isWhole(frame: Frame): frame is Extract<Frame, { type: 'snapshot' | 'resync' }> {
  return frame.type === 'snapshot' || frame.type === 'resync';
}
