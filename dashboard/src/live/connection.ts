/** How the page is kept up to date, as pure moves: live over the WebSocket, or polling until it comes back. */

export type Connection =
  /** The first attempt; nothing is known yet. */
  | { phase: 'connecting'; failures: 0 }
  /** Frames arrive. */
  | { phase: 'live'; failures: 0 }
  /** They do not: pages poll, and at `retryAt` the socket is tried again. */
  | { phase: 'polling'; failures: number; retryAt: number }
  /** They did not, and it is being tried again. */
  | { phase: 'retrying'; failures: number };

export type Move =
  | { type: 'frame' }
  /** The socket closed, was refused, or was silent for too long. `chance` is from 0 to 1. */
  | { type: 'lost'; now: number; chance: number }
  | { type: 'retry' };

export const START: Connection = { phase: 'connecting', failures: 0 };

/** The first wait before the socket is tried again. */
export const WAIT_MIN_MS = 1_000;
/** The longest: an operator who looks again after a coffee finds it live. */
export const WAIT_MAX_MS = 30_000;
/** While the page is visible, polling is this often. */
export const POLL_VISIBLE_MS = 10_000;
/** While nobody sees it. */
export const POLL_HIDDEN_MS = 30_000;

export function next(connection: Connection, move: Move): Connection {
  switch (move.type) {
    case 'frame':
      return connection.phase === 'live' ? connection : { phase: 'live', failures: 0 };
    case 'lost': {
      const failures = connection.failures + 1;
      return { phase: 'polling', failures, retryAt: move.now + waitMs(failures, move.chance) };
    }
    case 'retry':
      return connection.phase === 'polling'
        ? { phase: 'retrying', failures: connection.failures }
        : connection;
  }
}

/** Doubles with every failure; up to half of it is chance, so that many pages do not come back at once. */
export function waitMs(failures: number, chance: number): number {
  const full = Math.min(WAIT_MAX_MS, WAIT_MIN_MS * 2 ** Math.min(failures - 1, 16));
  return Math.round(full * (0.5 + chance / 2));
}

/** Returns how often to poll; `false` while events say what to fetch. */
export function pollEveryMs(phase: Connection['phase'], isVisible: boolean): number | false {
  switch (phase) {
    case 'live':
      return false;
    case 'connecting':
    case 'polling':
    case 'retrying':
      return isVisible ? POLL_VISIBLE_MS : POLL_HIDDEN_MS;
  }
}
