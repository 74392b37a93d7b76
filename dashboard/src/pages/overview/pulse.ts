/** How calls go now: from events while live, else from the latest lines of the log. */
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { logs } from '@/api/queries';
import type { Request } from '@/api/types';
import { type Known, type Pulse, pulseOf } from '@/live/calls';
import { useConnection, usePolling, usePulse } from '@/live/live';

/** So many lines are asked for. Where a minute has more, the rate is that of the time which these cover. */
const LINES = 1_000;

const LATEST = logs({ limit: LINES });

export function useCallsNow(): Pulse | undefined {
  const { phase } = useConnection();
  const isLive = phase === 'live';
  // The minute before this page began to listen, asked for once: events do not reach this name.
  const { data: before } = useQuery({
    ...LATEST,
    queryKey: ['before', ...LATEST.queryKey],
    staleTime: Infinity,
  });
  const known = useMemo(() => before && callsOfLines(before.logs, LINES), [before]);
  const live = usePulse(known);
  const polled = useQuery({ ...LATEST, ...usePolling(), enabled: !isLive && phase !== 'connecting' });
  if (isLive) return live;
  if (!polled.data) return undefined;
  const { calls, since } = callsOfLines(polled.data.logs, LINES);
  return pulseOf(calls, since, polled.dataUpdatedAt);
}

/** From lines of the log, the latest first. If there are `linesMax`, there may be more before them. */
export function callsOfLines(lines: readonly Request[], linesMax: number): Known {
  const calls = lines.map((line) => ({
    at: Date.parse(line.timestamp) + line.duration_us / 1_000,
    durationUs: line.duration_us,
    isFailed: line.status !== 'success',
  }));
  const oldest = lines.at(-1);
  const isCut = lines.length >= linesMax && oldest !== undefined;
  return { calls, since: isCut ? Date.parse(oldest.timestamp) : Number.NEGATIVE_INFINITY };
}
