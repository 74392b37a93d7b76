/** What is around every page: the way between pages, how the server is, and the login where one is needed. */
import { useQuery } from '@tanstack/react-query';
import { Outlet, useLocation } from '@tanstack/react-router';
import { Suspense, useState } from 'react';
import { me } from '@/api/queries';
import { LiveProvider } from '@/live/live';
import { Login } from '@/login/login';
import { Failure, Loading } from '@/parts/answers';
import { Nav } from './nav';
import { StatusBar } from './status-bar';
import './shell.css';

export function Shell() {
  const who = useQuery({ ...me, refetchInterval: (query) => (query.state.data ? false : 5_000) });
  if (who.isPending) return <Loading rows={3} />;
  if (!who.data)
    return <Failure error={who.error ?? new Error('nothing is known')} retry={() => void who.refetch()} />;
  if (who.data.role === null) return <Login />;
  return (
    <LiveProvider>
      <Frame />
    </LiveProvider>
  );
}

function Frame() {
  const [isOpen, setOpen] = useState(false);
  const { pathname } = useLocation();
  return (
    <div className="shell">
      <a className="shell-skip" href="#content">
        Skip to the page
      </a>
      <StatusBar isNavOpen={isOpen} toggleNav={() => setOpen(!isOpen)} />
      <Nav isOpen={isOpen} close={() => setOpen(false)} />
      <main id="content" className="shell-page" tabIndex={-1} key={pathname}>
        <Suspense fallback={<Loading rows={6} />}>
          <Outlet />
        </Suspense>
      </main>
    </div>
  );
}
