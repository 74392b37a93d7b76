/** The API over the invented world: one function from a request to an answer, for the development server and tests. */
import type { Pricing, Refusals, Role, ServiceConfig, ServiceStatus, Session } from '../src/api/types.ts';
import { analytics, disconnected, healthOf, stored, usage } from './reports.ts';
import { iso, type World } from './world.ts';

export interface MockOptions {
  /** The token that the API wants; none if left out. */
  token?: string;
  role?: Role;
}

export interface Asked {
  method: string;
  url: URL;
  body: unknown;
  isLoggedIn: boolean;
}

export interface Answered {
  status: number;
  body: unknown;
  /** Whether a login begins or ends with this answer. */
  login?: boolean;
}

const prices: Pricing = {
  pricing: [
    {
      provider: 'anthropic',
      model_name: 'claude-sonnet-4-5',
      input_price_per_million: 3,
      output_price_per_million: 15,
      input_price_per_1k: 0.003,
      output_price_per_1k: 0.015,
      effective_date: '2025-10-01',
    },
    {
      provider: 'anthropic',
      model_name: 'claude-haiku-4-5',
      input_price_per_million: 1,
      output_price_per_million: 5,
      input_price_per_1k: 0.001,
      output_price_per_1k: 0.005,
      effective_date: '2025-10-01',
    },
    {
      provider: 'openai',
      model_name: 'gpt-5',
      input_price_per_million: 1.25,
      output_price_per_million: 10,
      input_price_per_1k: 0.00125,
      output_price_per_1k: 0.01,
      effective_date: '2025-10-01',
    },
  ],
  total: 3,
  note: 'Prices estimate costs; they are not a bill.',
};

export function answer(world: World, asked: Asked, options: MockOptions = {}): Answered {
  const path = asked.url.pathname.replace(/^\/api\/mcp/, '');
  const now = Date.now();
  if (path === '/me') {
    const isIn = !options.token || asked.isLoggedIn;
    return ok({
      role: isIn ? (options.role ?? 'operator') : null,
      name: isIn && options.token ? 'desk' : null,
      auth_required: !!options.token,
    });
  }
  if (path === '/login') {
    const { token } = (asked.body ?? {}) as { token?: string };
    if (token !== options.token)
      return problem(401, 'wrong_token', 'this token is not known', 'Check that it was copied in full.');
    return { ...ok({ role: options.role ?? 'operator', name: 'desk', auth_required: true }), login: true };
  }
  if (path === '/logout') return { ...ok({ success: true }), login: false };
  if (options.token && !asked.isLoggedIn) {
    return problem(
      401,
      'token_required',
      'this API wants a token',
      'Log in, or send Authorization: Bearer with it.',
    );
  }
  const one = /^\/sessions\/([0-9a-f-]{36})(\/disconnect)?$/.exec(path);
  if (one) return session(world, one[1] ?? '', asked, now);
  const get = GET[path];
  if (asked.method === 'PUT' && path === '/pricing') return putPricing(asked.body);
  return get ? get(world, asked.url.searchParams, now) : problem(404, 'not_found', 'nothing here', '');
}

type Get = (world: World, query: URLSearchParams, now: number) => Answered;

const GET: Record<string, Get> = {
  '/health': () => ok({ status: 'healthy', service: 'mcp' }),
  '/status': (world, _, now) => ok(statusOf(world, now)),
  '/config': () => ok(CONFIG),
  '/sessions': sessions,
  '/sessions/health': (world, _, now) => ok(healthOf(world, now)),
  '/sessions/disconnected': (world, query, now) =>
    ok(disconnected(world, now, days(query, 7), limit(query, 50))),
  '/usage/summary': (world, query, now) => ok(usage(world, now, days(query, 30))),
  '/analytics': (world, query, now) => ok(analytics(world, now, days(query, 30))),
  '/pricing': () => ok(prices),
  '/logs': logs,
  '/errors': errors,
  '/refusals': (_, __, now) => ok(refusalsAt(now)),
};

/** A scanner, and an agent that was configured with an old handle. */
function refusalsAt(now: number): Refusals {
  const minute = iso(now - (now % 60_000));
  const of = { minute, last_at: minute, principal: 'anonymous' };
  return {
    refusals: [
      {
        ...of,
        cause: 'unknown_session',
        detail: 'session not found; call initialize to start a new one',
        count: 50,
        upstream: 'github',
        peer: '192.0.2.7',
        client: 'python-httpx/0.28',
      },
      {
        ...of,
        cause: 'invalid_token',
        detail: 'this API token is not known here',
        count: 3,
        upstream: null,
        peer: '2001:db8::/64',
        client: null,
      },
    ],
  };
}

const CONFIG: ServiceConfig = {
  host: '127.0.0.1',
  port: 8051,
  transport: 'streamable-http',
  path: '/mcp',
  api_port: 8181,
  upstreams: [
    { name: 'demo', path: '/mcp/demo', kind: 'demo' },
    { name: 'warehouse', path: '/mcp/warehouse', kind: 'http' },
  ],
  database: 'sqlite',
  durability: 'relaxed',
  session_timeout: 300,
  reap_every_seconds: 60,
  resume_window_seconds: 86_400,
  call_timeout_seconds: 60,
  auth_required: false,
  pricing_model: 'claude-sonnet-4-5',
};

function statusOf(world: World, now: number): ServiceStatus {
  return {
    status: 'running',
    uptime: Math.round((now - world.startedAt) / 1000),
    logs: [],
    version: '0.1.0',
    active_sessions: world.sessions.filter((session) => session.status === 'active').length,
    store: { status: 'healthy', reason: null, queued_rows: 0, dropped_rows: 0, lost_rows: 0 },
    upstreams: { demo: { status: 'up', children: null }, warehouse: { status: 'up', children: null } },
  };
}

function sessions(world: World, query: URLSearchParams): Answered {
  const text = (query.get('q') ?? '').toLowerCase();
  const found = world.sessions.filter(
    (session) =>
      (!query.get('status') || query.get('status') === 'all' || session.status === query.get('status')) &&
      (!query.get('client_type') || session.client_type === query.get('client_type')) &&
      (!query.get('user_id') || session.user_id === query.get('user_id')) &&
      (text === '' ||
        [session.client_type, session.client_name, session.user_id, session.session_id].some((field) =>
          field?.toLowerCase().includes(text),
        )),
  );
  const field = query.get('sort') ?? 'last_activity';
  const order = query.get('order') === 'asc' ? 1 : -1;
  const value = (session: Session): string | number =>
    stored(world, session)[field as 'last_activity' | 'total_requests'];
  found.sort((a, b) => {
    const [one, other] = [value(a), value(b)];
    return (one < other ? -1 : one > other ? 1 : 0) * order;
  });
  const from = Number(query.get('cursor') ?? 0);
  const size = limit(query, 50);
  return ok({
    sessions: found.slice(from, from + size).map((session) => stored(world, session)),
    active_sessions: world.sessions.filter((session) => session.status === 'active').length,
    session_timeout: 300,
    server_uptime_seconds: 12_240,
    total: found.length,
    total_is_exact: true,
    next_cursor: from + size < found.length ? String(from + size) : null,
  });
}

function session(world: World, id: string, asked: Asked, now: number): Answered {
  const found = world.sessions.find((session) => session.session_id === id);
  if (!found) return problem(404, 'session_not_found', 'no session has this id', 'It may have been removed.');
  if (asked.method !== 'GET')
    return end(found, (asked.body as { reason?: string } | null)?.reason ?? 'operator', now);
  const all = world.requests.filter((request) => request.session_id === id).reverse();
  const from = Number(asked.url.searchParams.get('cursor') ?? 0);
  const sum = (figure: (request: (typeof all)[number]) => number) =>
    all.reduce((total, request) => total + figure(request), 0);
  const prompt = sum((request) => request.prompt_tokens);
  const completion = sum((request) => request.completion_tokens);
  const size = limit(asked.url.searchParams, 100);
  return ok({
    session: found,
    requests: all.slice(from, from + size),
    next_cursor: from + size < all.length ? String(from + size) : null,
    summary: {
      total_requests: all.length,
      total_errors: all.filter((request) => request.status !== 'success').length,
      total_prompt_tokens: prompt,
      total_completion_tokens: completion,
      total_tokens: prompt + completion,
      total_cost: sum((request) => request.estimated_cost),
    },
    chain: {
      before: world.sessions.filter((other) => other.session_id === found.continues).map(chained),
      after: world.sessions.filter((other) => other.continues === id).map(chained),
    },
    reconnect_attempts: [],
    loses_state: false,
    continues: found.continues,
    continued_by: world.sessions.find((other) => other.continues === id)?.session_id ?? null,
  });
}

function chained({ session_id, connected_at, disconnected_at, disconnect_reason }: Session) {
  return { session_id, connected_at, disconnected_at, disconnect_reason };
}

function end(session: Session, reason: string, now: number): Answered {
  if (session.status !== 'active')
    return problem(409, 'session_already_disconnected', 'this session has already ended', '');
  session.status = 'disconnected';
  session.disconnect_reason = reason;
  session.disconnected_at = iso(now);
  session.expires_at = null;
  session.total_duration = Math.round((now - Date.parse(session.connected_at)) / 1000);
  return ok({
    success: true,
    session_id: session.session_id,
    message: 'the session has ended',
    disconnect_reason: reason,
    disconnected_at: session.disconnected_at,
    total_duration: session.total_duration,
  });
}

function logs(world: World, query: URLSearchParams): Answered {
  const text = (query.get('search') ?? '').toLowerCase();
  const level = query.get('level');
  const all = world.requests.toReversed().map((request) => ({
    ...request,
    level: request.status === 'success' ? 'info' : request.status === 'timeout' ? 'warning' : 'error',
    client_type:
      world.sessions.find((session) => session.session_id === request.session_id)?.client_type ?? null,
    message: request.error_message ?? `${request.method}${request.tool_name ? ` ${request.tool_name}` : ''}`,
  }));
  const found = all.filter(
    (line) =>
      (!level || line.level === level) &&
      (!query.get('session_id') || line.session_id === query.get('session_id')) &&
      (text === '' ||
        [line.method, line.tool_name, line.error_message].some((field) =>
          field?.toLowerCase().includes(text),
        )),
  );
  const from = Number(query.get('cursor') ?? 0);
  const size = limit(query, 100);
  const hasMore = from + size < found.length;
  return ok({
    logs: found.slice(from, from + size),
    pagination: {
      total: found.length,
      total_is_exact: true,
      limit: size,
      offset: 0,
      has_more: hasMore,
      next_cursor: hasMore ? String(from + size) : null,
      searched_back_to: null,
    },
  });
}

function errors(world: World, query: URLSearchParams): Answered {
  const severity = query.get('severity') ?? 'all';
  const wrong = world.requests.filter((request) => request.status !== 'success').reverse();
  const found = wrong.filter((request) => severity === 'all' || request.status === severity);
  const from = Number(query.get('cursor') ?? 0);
  const size = limit(query, 50);
  return ok({
    errors: found.slice(from, from + size),
    summary: {
      error_count: wrong.filter((request) => request.status === 'error').length,
      timeout_count: wrong.filter((request) => request.status === 'timeout').length,
      last_error_at: wrong[0]?.timestamp ?? null,
      error_rate_percent: Number(((100 * wrong.length) / Math.max(1, world.requests.length)).toFixed(2)),
    },
    total: found.length,
    next_cursor: from + size < found.length ? String(from + size) : null,
  });
}

function putPricing(body: unknown): Answered {
  for (const price of (body as Pricing).pricing) {
    const at = prices.pricing.findIndex(
      (old) => old.model_name === price.model_name && old.provider === price.provider,
    );
    if (at >= 0) prices.pricing[at] = price;
    else prices.pricing.push(price);
  }
  prices.total = prices.pricing.length;
  return ok(prices);
}

function ok(body: unknown): Answered {
  return { status: 200, body };
}

function problem(status: number, code: string, detail: string, hint: string): Answered {
  return { status, body: { detail, code, hint } };
}

function days(query: URLSearchParams, otherwise: number): number {
  return Number(query.get('days') ?? otherwise);
}

function limit(query: URLSearchParams, otherwise: number): number {
  return Number(query.get('limit') ?? otherwise);
}
