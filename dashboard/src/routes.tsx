/** Which path shows what. The server knows the same paths: `crates/archon-server/src/dashboard.rs`. */
import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  type RouterHistory,
  redirect,
} from '@tanstack/react-router';
import { readErrorsSearch } from './pages/errors/search';
import { readLogsSearch } from './pages/logs/search';
import { Overview } from './pages/overview/overview';
import { readSessionsSearch } from './pages/sessions/search';
import { readPeriodSearch } from './parts/period';
import { Broken, Missing } from './shell/broken';
import { Shell } from './shell/shell';

const root = createRootRoute({ component: Shell, notFoundComponent: Missing });

const overview = createRoute({ getParentRoute: () => root, path: '/', component: Overview });

/** Where people look who know the address of the MCP endpoint. */
const mcp = createRoute({
  getParentRoute: () => root,
  path: '/mcp',
  beforeLoad: () => {
    throw redirect({ to: '/', replace: true });
  },
});

const sessions = createRoute({
  getParentRoute: () => root,
  path: '/sessions',
  validateSearch: readSessionsSearch,
  component: lazyRouteComponent(() => import('./pages/sessions/sessions'), 'Sessions'),
});

const session = createRoute({
  getParentRoute: () => root,
  path: '/sessions/$id',
  component: lazyRouteComponent(() => import('./pages/session/session'), 'SessionView'),
});

const tools = createRoute({
  getParentRoute: () => root,
  path: '/tools',
  validateSearch: readPeriodSearch,
  component: lazyRouteComponent(() => import('./pages/tools/tools'), 'Tools'),
});

const analytics = createRoute({
  getParentRoute: () => root,
  path: '/analytics',
  validateSearch: readPeriodSearch,
  component: lazyRouteComponent(() => import('./pages/analytics/analytics'), 'AnalyticsView'),
});

const logs = createRoute({
  getParentRoute: () => root,
  path: '/logs',
  validateSearch: readLogsSearch,
  component: lazyRouteComponent(() => import('./pages/logs/logs'), 'LogsView'),
});

const errors = createRoute({
  getParentRoute: () => root,
  path: '/errors',
  validateSearch: readErrorsSearch,
  component: lazyRouteComponent(() => import('./pages/errors/errors'), 'ErrorsView'),
});

const costs = createRoute({
  getParentRoute: () => root,
  path: '/costs',
  validateSearch: readPeriodSearch,
  component: lazyRouteComponent(() => import('./pages/costs/costs'), 'Costs'),
});

const connect = createRoute({
  getParentRoute: () => root,
  path: '/connect',
  component: lazyRouteComponent(() => import('./pages/connect/connect'), 'Connect'),
});

const tree = root.addChildren([
  overview,
  mcp,
  sessions,
  session,
  tools,
  analytics,
  logs,
  errors,
  costs,
  connect,
]);

/** `history` is the browser's unless a test has its own. */
export function makeRouter(history?: RouterHistory) {
  return createRouter({
    routeTree: tree,
    ...(history ? { history } : {}),
    defaultPreload: 'intent',
    // What a page shows is fetched by its own queries.
    defaultPreloadStaleTime: 0,
    defaultErrorComponent: Broken,
    scrollRestoration: false,
  });
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
