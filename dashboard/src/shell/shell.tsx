/** What is around every page: the way between pages, how the server is, and the login where one is needed. */
import { useQuery } from '@tanstack/react-query';
import { Outlet, useLocation } from '@tanstack/react-router';
import { Suspense, useEffect, useRef, useState } from 'react';
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
  const page = useRef<HTMLElement>(null);
  const shown = useRef(pathname);
  useEffect(() => {
    // Another page begins at its top, also for whoever hears it or goes through it by keyboard.
    if (shown.current === pathname) return;
    shown.current = pathname;
    window.scrollTo(0, 0);
    page.current?.focus({ preventScroll: true });
  }, [pathname]);
  return (
    <div className="shell">
      <a className="shell-skip" href="#content">
        Skip to the page
      </a>
      <StatusBar isNavOpen={isOpen} toggleNav={() => setOpen(!isOpen)} />
      <Nav isOpen={isOpen} close={() => setOpen(false)} />
      <main id="content" className="shell-page" tabIndex={-1} ref={page} key={pathname}>
        <Suspense fallback={<Loading rows={6} />}>
          <Outlet />
        </Suspense>
      </main>
    </div>
  );
}
