/** Keeps every page up to date: one socket, one cache, one feed. Pages ask `useLive` how, and poll if they must. */
import { useQueryClient } from '@tanstack/react-query';
import {
  createContext,
  type ReactNode,
  use,
  useEffect,
  useMemo,
  useState,
  useSyncExternalStore,
} from 'react';
import { apply } from './apply';
import type { Known, Pulse } from './calls';
import { type Connection, pollEveryMs } from './connection';
import { type Event, Feed } from './feed';
import { Gather } from './gather';
import { beforePaint } from './paint';
import { Refetch } from './refetch';
import { LiveSocket } from './socket';

interface Live {
  socket: LiveSocket;
  feed: Feed;
}

const LiveContext = createContext<Live | undefined>(undefined);

export function LiveProvider({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  const [refetch] = useState(() => new Refetch(client));
  const [feed] = useState(() => new Feed());
  const [socket] = useState(() => {
    const gather = new Gather((gathered) => {
      if (gathered.hasGap) feed.gap();
      feed.add(gathered.frames, Date.now());
      apply(gathered, client, refetch);
    });
    return new LiveSocket(socketUrl(window.location), (frame) => gather.add(frame));
  });

  useEffect(() => {
    const unwatch = socket.watch(() => {
      if (socket.connection().phase === 'polling') feed.gap();
    });
    const retry = () => socket.retryNow();
    window.addEventListener('online', retry);
    socket.start();
    return () => {
      window.removeEventListener('online', retry);
      unwatch();
      socket.stop();
      refetch.stop();
    };
  }, [socket, feed, refetch]);

  const live = useMemo(() => ({ socket, feed }), [socket, feed]);
  return <LiveContext value={live}>{children}</LiveContext>;
}

export function socketUrl({ protocol, host }: { protocol: string; host: string }): string {
  return `${protocol === 'https:' ? 'wss' : 'ws'}://${host}/api/mcp/ws/sessions`;
}

function useLiveParts(): Live {
  const live = use(LiveContext);
  if (!live) throw new Error('LiveProvider is missing');
  return live;
}

/** How the page is kept up to date now. */
export function useConnection(): Connection & { retryNow: () => void } {
  const { socket } = useLiveParts();
  const connection = useSyncExternalStore(socket.watch, socket.connection);
  return { ...connection, retryNow: () => socket.retryNow() };
}

/** What a query takes for `refetchInterval`: nothing while events arrive, else 10 s, or 30 s while nobody looks. */
export function usePolling(): { refetchInterval: number | false; refetchIntervalInBackground: true } {
  const { phase } = useConnection();
  const isVisible = useSyncExternalStore(watchVisibility, () => !document.hidden);
  return { refetchInterval: pollEveryMs(phase, isVisible), refetchIntervalInBackground: true };
}

/** The latest events, the newest first. */
export function useEvents(): readonly Event[] {
  const { feed } = useLiveParts();
  return useSyncExternalStore(feed.watch, feed.events);
}

/**
 * How calls go now; nothing is known while polling. Counted once a second. `before` are calls that are known from
 * elsewhere, for the minute before this page began to listen.
 */
export function usePulse(before?: Known): Pulse | undefined {
  const { feed } = useLiveParts();
  const [pulse, setPulse] = useState<Pulse>();
  useEffect(() => {
    const count = () => setPulse(feed.pulse(Date.now(), before));
    count();
    const timer = setInterval(() => beforePaint(count), 1_000);
    return () => clearInterval(timer);
  }, [feed, before]);
  return pulse;
}

function watchVisibility(watcher: () => void): () => void {
  document.addEventListener('visibilitychange', watcher);
  return () => document.removeEventListener('visibilitychange', watcher);
}
