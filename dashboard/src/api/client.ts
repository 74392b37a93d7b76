/** The cache of answers, and what happens to all errors alike. */
import { QueryCache, QueryClient } from '@tanstack/react-query';
import { isPassing, Problem } from './problem';
import { me } from './queries';

/** How often a passing failure is tried again before it is shown; polling goes on behind it anyway. */
const RETRIES_MAX = 1;

export function makeClient(): QueryClient {
  const client: QueryClient = new QueryClient({
    queryCache: new QueryCache({
      onError(error, query) {
        // A login that ended: `me` says so, and the gate shows.
        if (error instanceof Problem && error.status === 401 && query.queryKey[0] !== 'me') {
          void client.invalidateQueries({ queryKey: me.queryKey });
        }
      },
    }),
    defaultOptions: {
      queries: {
        retry: (failures, error) => failures < RETRIES_MAX && isPassing(error),
        // Events and polling say when to ask again.
        refetchOnWindowFocus: false,
        staleTime: 5_000,
      },
    },
  });
  return client;
}
