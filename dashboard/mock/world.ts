/** An invented deployment, the same every time: sessions, their requests, and what comes next. */
import type { Outcome, Request, Session, UpdateType } from '../src/api/types.ts';

const CLIENTS = [
  { type: 'Claude Code', name: 'claude-code', versions: ['2.1.14', '2.1.9'], era: 'modern', weight: 30 },
  { type: 'Cursor', name: 'cursor-vscode', versions: ['2.4.1'], era: 'legacy', weight: 18 },
  { type: 'VS Code', name: 'Visual Studio Code', versions: ['1.109.0'], era: 'modern', weight: 12 },
  { type: 'Codex', name: 'codex-mcp-client', versions: ['0.61.0'], era: 'legacy', weight: 10 },
  { type: 'Gemini', name: 'gemini-cli-mcp-client', versions: ['0.19.2'], era: 'legacy', weight: 7 },
  { type: 'Windsurf', name: 'windsurf-client', versions: ['1.0.0'], era: 'legacy', weight: 6 },
  { type: 'Zed', name: 'Zed', versions: ['0.214.3'], era: 'legacy', weight: 5 },
  { type: 'Inspector', name: 'inspector-client', versions: ['2.12.0'], era: 'legacy', weight: 4 },
  {
    type: 'acme-nightly-report',
    name: 'acme-nightly-report',
    versions: ['3.0.0-beta.2'],
    era: 'legacy',
    weight: 4,
  },
  { type: 'unknown-client', name: null, versions: [null], era: 'legacy', weight: 4 },
] as const;

const USERS = [null, null, 'amara@example.com', 'jonas@example.com', 'mei.lin@example.com', 'ci@example.com'];
const TOOLS = [
  'find_projects',
  'manage_project',
  'find_tasks',
  'manage_task',
  'search_docs',
  'run_query',
  'health_check',
];
const FAILURES: Record<string, string> = {
  run_query: 'relation "invoices_2026" does not exist',
  manage_task: 'a task needs a title',
  search_docs: 'the index is being rebuilt; try again in a minute',
};
const REASONS = [
  'timeout_no_activity',
  'timeout_no_activity',
  'client_disconnect',
  'client_disconnect',
  'operator',
  'error',
];

export const DAY_MS = 86_400_000;
export const IDLE_TIMEOUT_S = 300;

export interface World {
  startedAt: number;
  sessions: Session[];
  requests: Request[];
  random: () => number;
  seq: number;
}

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export function makeWorld(now: number, sizes: { sessions: number; active: number }, seed = 7): World {
  const random = randomFrom(seed);
  const world: World = { startedAt: now - 3.4 * 3_600_000, sessions: [], requests: [], random, seq: 100 };
  for (let n = 0; n < sizes.sessions; n++) {
    const isActive = n < sizes.active;
    const age = isActive ? random() * 3 * 3_600_000 : random() ** 1.6 * 14 * DAY_MS + 400_000;
    addSession(world, now - age, now, isActive);
  }
  const first = world.sessions[0];
  const earlier = world.sessions[sizes.active];
  if (first && earlier) first.continues = earlier.session_id;
  world.requests.sort((a, b) => a.timestamp.localeCompare(b.timestamp));
  world.requests.forEach((request, at) => {
    request.id = at + 1;
  });
  return world;
}

export function addSession(world: World, connectedAt: number, now: number, isActive: boolean): Session {
  const { random } = world;
  const client = pickWeighted(random);
  const user = pick(USERS, random);
  const lasted = isActive ? now - connectedAt : 60_000 + random() ** 2 * 4 * 3_600_000;
  const lastActivity = isActive
    ? now - random() ** 3 * Math.min(now - connectedAt, 280_000)
    : Math.min(connectedAt + lasted, now - 60_000);
  const session: Session = {
    session_id: uuid(random),
    client_type: client.type,
    client_name: client.name,
    client_version: pick<string | null>(client.versions, random),
    client_capabilities: { roots: { listChanged: true }, sampling: {} } as unknown as Record<string, never>,
    connected_at: iso(connectedAt),
    last_activity: iso(lastActivity),
    expires_at: isActive ? iso(lastActivity + IDLE_TIMEOUT_S * 1000) : null,
    disconnected_at: isActive ? null : iso(lastActivity),
    total_duration: isActive ? null : Math.round((lastActivity - connectedAt) / 1000),
    status: isActive ? 'active' : 'disconnected',
    disconnect_reason: isActive ? null : pick(REASONS, random),
    user_id: user,
    user_email: user,
    user_name: user?.split('@')[0] ?? null,
    metadata: null,
    principal: user ? `https://id.example.com#${user}` : 'anonymous',
    era: client.era,
    protocol_version: client.era === 'modern' ? '2026-07-28' : pick(['2025-11-25', '2025-06-18'], random),
    continues: null,
    idle_timeout_seconds: IDLE_TIMEOUT_S,
    reconnect_count: random() < 0.1 ? 1 : 0,
  };
  world.sessions.push(session);
  const firstId = world.requests.length + 1;
  const count = Math.floor(2 + random() ** 3 * (isActive ? 160 : 24));
  for (let n = 0; n < count; n++) {
    const at = connectedAt + (n === 0 ? 0 : random() * Math.max(0, lastActivity - connectedAt));
    world.requests.push({ ...makeRequest(world, session, at, n === 0), id: firstId + n });
  }
  return session;
}

export function makeRequest(world: World, session: Session, at: number, isFirst = false): Request {
  const { random } = world;
  const method = isFirst
    ? session.era === 'modern'
      ? 'tools/list'
      : 'initialize'
    : pick(['tools/call', 'tools/call', 'tools/call', 'tools/list', 'resources/read', 'ping'], random);
  const tool = method === 'tools/call' ? pick(TOOLS, random) : null;
  const chance = random();
  const status: Outcome =
    tool && FAILURES[tool] && chance < 0.06 ? 'error' : chance > 0.994 ? 'timeout' : 'success';
  const slow = tool === 'run_query' ? 90_000 : tool === 'search_docs' ? 30_000 : 1_800;
  const durationUs =
    status === 'timeout' ? 60_000_000 : Math.round(400 + slow * random() ** 2 * (1 + 6 * random() ** 8));
  const prompt = Math.round(20 + random() * 300);
  const completion = Math.round(40 + random() ** 3 * 4_000);
  return {
    id: null,
    session_id: session.session_id,
    method,
    tool_name: tool,
    upstream: tool?.includes('quer') ? 'warehouse' : 'demo',
    timestamp: iso(at),
    duration_ms: Math.round(durationUs / 1000),
    duration_us: durationUs,
    status,
    error_message:
      status === 'success'
        ? null
        : status === 'timeout'
          ? 'no answer in time'
          : (FAILURES[tool ?? ''] ?? 'failed'),
    prompt_tokens: prompt,
    completion_tokens: completion,
    estimated_cost: Number(((prompt * 0.003 + completion * 0.015) / 1000).toFixed(6)),
    request_bytes: 180 + Math.round(random() * 900),
    response_bytes: completion * 4 + 210,
    model: 'claude-sonnet-4-5',
  };
}

export function updateTypeOf(request: Request): UpdateType {
  return request.tool_name === 'heartbeat' ? 'heartbeat' : request.tool_name ? 'tool_call' : 'request';
}

export function iso(ms: number): string {
  return new Date(ms).toISOString();
}

function pick<Item>(items: readonly Item[], random: () => number): Item {
  return items[Math.floor(random() * items.length)] as Item;
}

function pickWeighted(random: () => number): (typeof CLIENTS)[number] {
  let left = random() * CLIENTS.reduce((sum, client) => sum + client.weight, 0);
  const found = CLIENTS.find((client) => {
    left -= client.weight;
    return left < 0;
  });
  return found ?? CLIENTS[0];
}

function uuid(random: () => number): string {
  const digits = Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16));
  digits[12] = '4';
  digits[16] = '89ab'[Math.floor(random() * 4)] ?? '8';
  const hex = digits.join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
