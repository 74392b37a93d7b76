/** What the API adds up, over the invented world. */
import type {
  Analytics,
  Disconnected,
  Period,
  Request,
  Session,
  SessionsHealth,
  StoredSession,
  Usage,
  UsageSummary,
} from '../src/api/types.ts';
import { DAY_MS, iso, type World } from './world.ts';

export function healthOf(world: World, now: number): SessionsHealth {
  const active = world.sessions.filter((session) => session.status === 'active');
  const silent = (at: string) => (now - Date.parse(at)) / 60_000;
  const recent = world.sessions.filter((session) => now - Date.parse(session.connected_at) < DAY_MS);
  const ended = recent.filter((session) => session.status !== 'active').length;
  const lasted = recent.map(
    (session) => session.total_duration ?? (now - Date.parse(session.connected_at)) / 1000,
  );
  return {
    status_breakdown: {
      active: active.length,
      disconnected: world.sessions.length - active.length,
      total: world.sessions.length,
    },
    age_distribution: {
      healthy: active.filter((session) => silent(session.last_activity) < 5).length,
      aging: active.filter(
        (session) => silent(session.last_activity) >= 5 && silent(session.last_activity) <= 10,
      ).length,
      stale: active.filter((session) => silent(session.last_activity) > 10).length,
    },
    connection_health: {
      avg_duration_seconds: Math.round(lasted.reduce((a, b) => a + b, 0) / Math.max(1, lasted.length)),
      sessions_per_hour: Number((recent.length / 24).toFixed(2)),
      disconnect_rate_percent: Number(((100 * ended) / Math.max(1, recent.length)).toFixed(1)),
      total_sessions_24h: recent.length,
    },
    recent_activity: world.sessions
      .toSorted((a, b) => b.last_activity.localeCompare(a.last_activity))
      .slice(0, 10)
      .map((session) => ({
        session_id: session.session_id,
        client_type: session.client_type,
        status: session.status,
        age_minutes: Math.floor(silent(session.last_activity)),
        uptime_minutes: Math.floor(
          (Date.parse(session.disconnected_at ?? iso(now)) - Date.parse(session.connected_at)) / 60_000,
        ),
      })),
    timestamp: iso(now),
  };
}

/** A session with what it used. */
export function stored(world: World, session: Session): StoredSession {
  const requests = world.requests.filter((request) => request.session_id === session.session_id);
  return {
    ...session,
    total_requests: requests.length,
    total_errors: requests.filter((request) => request.status !== 'success').length,
    total_prompt_tokens: sum(requests, (request) => request.prompt_tokens),
    total_completion_tokens: sum(requests, (request) => request.completion_tokens),
    total_cost: sum(requests, (request) => request.estimated_cost),
    upstreams: [...new Set(requests.map((request) => request.upstream))],
  };
}

export function disconnected(world: World, now: number, days: number, limit: number): Disconnected {
  const ended = world.sessions
    .filter((session) => session.disconnected_at && now - Date.parse(session.disconnected_at) < days * DAY_MS)
    .sort((a, b) => (b.disconnected_at ?? '').localeCompare(a.disconnected_at ?? ''));
  const lasted = ended.map((session) => session.total_duration ?? 0);
  const reasons: Record<string, number> = {};
  for (const session of ended) {
    const reason = session.disconnect_reason ?? 'error';
    reasons[reason] = (reasons[reason] ?? 0) + 1;
  }
  return {
    sessions: ended.slice(0, limit).map((session) => stored(world, session)),
    statistics: {
      total_disconnected: ended.length,
      disconnect_reasons: reasons,
      avg_duration_seconds: Math.round(lasted.reduce((a, b) => a + b, 0) / Math.max(1, lasted.length)),
      max_duration_seconds: Math.max(0, ...lasted),
      min_duration_seconds: lasted.length === 0 ? 0 : Math.min(...lasted),
    },
    period: period(now, days),
  };
}

export function usage(world: World, now: number, days: number): UsageSummary {
  const requests = within(world, now - days * DAY_MS, now);
  const sessions = new Map(world.sessions.map((session) => [session.session_id, session]));
  const prompt = sum(requests, (request) => request.prompt_tokens);
  const completion = sum(requests, (request) => request.completion_tokens);
  return {
    period: period(now, days),
    summary: {
      total_requests: requests.length,
      total_prompt_tokens: prompt,
      total_completion_tokens: completion,
      total_tokens: prompt + completion,
      total_cost: sum(requests, (request) => request.estimated_cost),
      unique_sessions: new Set(requests.map((request) => request.session_id)).size,
    },
    by_tool: byTool(requests),
    by_client: by(requests, (request) => sessions.get(request.session_id)?.client_type ?? null),
    by_user: by(requests, (request) => sessions.get(request.session_id)?.user_id ?? 'anonymous'),
  };
}

export function analytics(world: World, now: number, days: number): Analytics {
  const requests = within(world, now - days * DAY_MS, now);
  const earlier = within(world, now - 2 * days * DAY_MS, now - days * DAY_MS);
  const byDay = Map.groupBy(requests, (request) => request.timestamp.slice(0, 10));
  const byHour = Map.groupBy(requests, (request) => Number(request.timestamp.slice(11, 13)));
  const calls = Map.groupBy(
    requests.filter((request) => request.tool_name),
    toolOf,
  );
  const count = (status: string) => requests.filter((request) => request.status === status).length;
  const all = times('', requests);
  return {
    period: period(now, days),
    trends: {
      daily: [...byDay].sort().map(([date, list]) => ({
        date,
        requests: list.length,
        tokens: sum(list, (request) => request.prompt_tokens + request.completion_tokens),
        cost: sum(list, (request) => request.estimated_cost),
        success_rate: successRate(list),
      })),
      hourly: [...byHour]
        .sort((a, b) => a[0] - b[0])
        .map(([hour, list]) => ({
          hour,
          requests: list.length,
          avg_duration: sum(list, (request) => request.duration_us / 1000) / list.length,
        })),
    },
    ratios: {
      success: count('success'),
      error: count('error'),
      timeout: count('timeout'),
      success_rate: successRate(requests),
    },
    response_times: {
      by_tool: [...calls.values()]
        .map((list) => times(list[0]?.tool_name ?? '', list))
        .sort((a, b) => b.count - a.count),
      overall_avg: all.avg_ms,
      p50: all.p50,
      p95: all.p95,
      p99: all.p99,
    },
    comparison: {
      requests: change(requests.length, earlier.length),
      success_rate: change(successRate(requests), successRate(earlier)),
      tokens: change(
        sum(requests, (request) => request.prompt_tokens + request.completion_tokens),
        sum(earlier, (request) => request.prompt_tokens + request.completion_tokens),
      ),
      cost: change(
        sum(requests, (request) => request.estimated_cost),
        sum(earlier, (request) => request.estimated_cost),
      ),
    },
  };
}

function times(tool: string, requests: Request[]) {
  const sorted = requests.map((request) => request.duration_us / 1000).sort((a, b) => a - b);
  const answered = requests
    .filter((request) => request.status !== 'timeout')
    .map((request) => request.duration_us / 1000)
    .sort((a, b) => a - b);
  const errors = requests.filter((request) => request.status === 'error').length;
  const timeouts = requests.filter((request) => request.status === 'timeout').length;
  const at = (share: number) => answered[Math.max(0, Math.ceil(answered.length * share) - 1)] ?? 0;
  return {
    tool,
    upstream: tool === '' ? null : (requests[0]?.upstream ?? null),
    avg_ms: sorted.reduce((a, b) => a + b, 0) / Math.max(1, sorted.length),
    min_ms: sorted[0] ?? 0,
    max_ms: sorted.at(-1) ?? 0,
    count: sorted.length,
    errors,
    timeouts,
    error_rate_percent: Number(((100 * (errors + timeouts)) / Math.max(1, sorted.length)).toFixed(2)),
    p50: at(0.5),
    p95: at(0.95),
    p99: at(0.99),
  };
}

function toolOf({ upstream, tool_name }: Request): string {
  return `${upstream}/${tool_name}`;
}

/** As the gateway's: under the tool's name, or under both names where several upstreams have it. */
function byTool(requests: Request[]): UsageSummary['by_tool'] {
  const calls = requests.filter((request) => request.tool_name !== null);
  const sums = by(calls, toolOf);
  const first = new Map(calls.map((request) => [toolOf(request), request]));
  const named = (name: string | undefined | null) =>
    [...first.values()].filter(({ tool_name }) => tool_name === name).length;
  return Object.fromEntries(
    Object.entries(sums).map(([key, sum]) => {
      const call = first.get(key);
      const tool = call?.tool_name ?? '';
      return [named(tool) > 1 ? key : tool, { ...sum, tool, upstream: call?.upstream ?? null }];
    }),
  );
}

function by(requests: Request[], name: (request: Request) => string | null): Record<string, Usage> {
  const found: Record<string, Usage> = {};
  for (const request of requests) {
    const key = name(request);
    if (key === null) continue;
    const usage = found[key] ?? { count: 0, tokens: 0, cost: 0, errors: 0, timeouts: 0 };
    found[key] = usage;
    usage.count += 1;
    if (request.status === 'error') usage.errors += 1;
    if (request.status === 'timeout') usage.timeouts += 1;
    usage.tokens += request.prompt_tokens + request.completion_tokens;
    usage.cost += request.estimated_cost;
  }
  return found;
}

function within(world: World, from: number, to: number): Request[] {
  return world.requests.filter((request) => {
    const at = Date.parse(request.timestamp);
    return at >= from && at < to;
  });
}

function sum(requests: Request[], figure: (request: Request) => number): number {
  return requests.reduce((total, request) => total + figure(request), 0);
}

function successRate(requests: Request[]): number {
  const good = requests.filter((request) => request.status === 'success').length;
  return requests.length === 0 ? 0 : Number(((100 * good) / requests.length).toFixed(2));
}

function change(current: number, previous: number) {
  const percent = previous === 0 ? null : Number(((100 * (current - previous)) / previous).toFixed(2));
  return { current, previous, change_percent: percent };
}

function period(now: number, days: number): Period {
  return { start_date: iso(now - days * DAY_MS), end_date: iso(now), days };
}
