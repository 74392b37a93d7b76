/** How things are now: who is here, how calls go, and what just happened. */
import { useQuery } from '@tanstack/react-query';
import { health } from '@/api/queries';
import { usePolling } from '@/live/live';
import { Failure, Loading } from '@/parts/answers';
import { PageHead, Panels } from '@/parts/panel';
import { Ages } from './ages';
import { ConnectionHealth } from './connection-health';
import { Happening } from './happening';
import { NowFigures } from './now-figures';
import { Reasons } from './reasons';
import { RecentSessions } from './recent-sessions';
import { Warnings } from './warnings';

export function Overview() {
  const query = useQuery({ ...health, ...usePolling() });
  return (
    <>
      <PageHead name="Overview" />
      {query.isError && (
        <Failure error={query.error} retry={() => void query.refetch()} isOld={!!query.data} />
      )}
      {query.isPending && <Loading rows={8} />}
      {query.data && (
        <>
          <NowFigures health={query.data} />
          <Panels>
            <Ages ages={query.data.age_distribution} />
            <ConnectionHealth health={query.data.connection_health} />
            <Reasons />
          </Panels>
          <Warnings />
          <Panels isWide>
            <RecentSessions />
            <Happening />
          </Panels>
        </>
      )}
    </>
  );
}
