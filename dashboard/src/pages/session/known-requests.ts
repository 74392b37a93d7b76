/** The requests of a session that the page knows: the latest, those that were the latest before, and earlier ones. */
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { earlierRequests } from '@/api/queries';
import type { Request, SessionPage } from '@/api/types';

/** More would be slow to draw; which ones to look at is then a question for the logs. */
export const KNOWN_MAX = 10_000;

interface Known {
  /** The latest first. */
  requests: readonly Request[];
  /** Where those before them begin; nothing if they are all. */
  cursor: string | null;
  /** What was taken in last. */
  latest: readonly Request[];
}

export interface KnownRequests {
  requests: readonly Request[];
  /** Whether there are earlier ones that can be asked for. */
  hasEarlier: boolean;
  askEarlier: () => void;
  isAsking: boolean;
  error: Error | null;
}

export function useKnownRequests({ session, requests, next_cursor }: SessionPage): KnownRequests {
  const [known, setKnown] = useState<Known>({ requests, cursor: next_cursor, latest: requests });
  if (known.latest !== requests) {
    setKnown({ ...known, requests: joined(requests, known.requests), latest: requests });
  }
  const earlier = useMutation({
    mutationFn: (cursor: string) => earlierRequests(session.session_id, cursor),
    onSuccess: (page) =>
      setKnown((before) => ({
        ...before,
        requests: joined(before.requests, page.requests),
        cursor: page.next_cursor,
      })),
  });
  const { cursor } = known;
  const hasEarlier = cursor !== null && known.requests.length < KNOWN_MAX;
  return {
    requests: known.requests,
    hasEarlier,
    askEarlier: () => cursor !== null && earlier.mutate(cursor),
    isAsking: earlier.isPending,
    error: earlier.error,
  };
}

/** Both lists, the latest first, each request once. Of more than may be known, the earliest are left out. */
export function joined(some: readonly Request[], others: readonly Request[]): Request[] {
  const byId = new Map([...others, ...some].map((request) => [request.id, request]));
  return [...byId.values()].sort((a, b) => (b.id ?? 0) - (a.id ?? 0)).slice(0, KNOWN_MAX);
}
