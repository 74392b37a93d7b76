/** How calls go now: from events while live, else from the latest lines of the log. */
import { useQuery } from '@tanstack/react-query';
import { logs } from '@/api/queries';
import type { Request } from '@/api/types';
import { type Call, type Pulse, pulseOf, WINDOW_MS } from '@/live/feed';
import { useConnection, usePolling, usePulse } from '@/live/live';

/** So many lines are asked for. Where a minute has more, the rate is that of the time which these cover. */
const LINES = 500;

export function useCallsNow(): Pulse | undefined {
  const { phase } = useConnection();
  const live = usePulse();
  const isLive = phase === 'live';
  const polled = useQuery({
    ...logs({ limit: LINES }),
    ...usePolling(),
    enabled: !isLive && phase !== 'connecting',
  });
  if (isLive) return live;
  return polled.data && pulseOfLines(polled.data.logs, LINES, polled.dataUpdatedAt);
}

/** From lines of the log, the latest first. */
export function pulseOfLines(lines: readonly Request[], linesMax: number, now: number): Pulse {
  const calls: Call[] = lines.map((line) => ({
    at: Date.parse(line.timestamp),
    durationUs: line.duration_us,
    isFailed: line.status !== 'success',
  }));
  const recent = calls.filter((call) => now - call.at <= WINDOW_MS);
  const isCut = recent.length === linesMax;
  return pulseOf(recent, isCut ? (recent.at(-1)?.at ?? now) : now - WINDOW_MS, now);
}
