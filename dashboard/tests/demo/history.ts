/** Weeks that a deployment has behind it, as lines that `archon import` takes in. */
import { Chance } from './chance.ts';
import { PEOPLE, type Person, PRODUCTS, type Product } from './people.ts';
import { SERVERS, type Tool } from './servers.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** How busy the hours of a day are, in UTC, against each other. */
const HOURS = [1, 1, 1, 1, 2, 3, 6, 11, 15, 17, 17, 14, 13, 16, 18, 17, 14, 10, 6, 4, 3, 3, 2, 1];
/** Dollars per 1,000 tokens, as the gateway's own price for `MODEL` is. */
const PRICE = { in: 0.003, out: 0.015 };
const MODEL = 'claude-sonnet-4-5';
const TOOLS = SERVERS.flatMap(({ name, tools }) => tools.map((tool) => ({ ...tool, upstream: name })));

interface Made {
  id: string;
  product: Product;
  person: Person | undefined;
  began: number;
  end: number;
  isActive: boolean;
  requests: number;
  /** Whether it is one of those that there is something to tell of. */
  isToldOf?: boolean;
  /** The session before, if its client came back. */
  continues?: string;
}

export interface HistoryOptions {
  now: number;
  days: number;
  sessions: number;
  /** Of them, so many are active. */
  active: number;
  /** What principals are made of, so that people who come back are who they were. */
  issuer: string;
}

export interface History {
  lines: string;
  /** A session of which there is something to tell: it goes on from others, gave signs of life, and failed now and then. */
  pictured: string;
}

export function history(options: HistoryOptions): History {
  const chance = new Chance(7);
  const lines: object[] = [{ archon_export: { format: 1, version: '0.1.0', exported_at: at(options.now) } }];
  const requests: object[] = [];
  let before: Made | undefined;
  const told = chain(chance, options.now);
  for (let n = 0; n < options.sessions + told.length; n++) {
    const made =
      told[n] ?? session(chance, options, n >= options.sessions + told.length - options.active, before);
    lines.push({ session: sessionRow(chance, made, options) });
    let time = made.began;
    const step = (made.end - made.began) / made.requests;
    for (let k = 0; k < made.requests; k++) {
      requests.push({ request: requestRow(chance, made, requests.length + 1, time) });
      time += step * chance.between(0.4, 1);
    }
    before = made;
  }
  lines.push(...requests);
  lines.push({ end: { prices: 0, sessions: options.sessions + told.length, requests: requests.length } });
  return {
    lines: `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`,
    pictured: told.at(-1)?.id ?? '',
  };
}

/** A day of one person who goes away and comes back, up to a session that is active. */
function chain(chance: Chance, now: number): Made[] {
  const [product] = PRODUCTS;
  const [person] = PEOPLE;
  if (!product) throw new Error('there is no product');
  const made: Made[] = [];
  for (const [beganAgo, endAgo, requests] of [
    [9.1, 7.6, 44],
    [6.8, 4.2, 71],
    [3.1, 0.004, 96],
  ] as const) {
    const [began, end] = [now - beganAgo * HOUR, now - endAgo * HOUR];
    const continues = made.at(-1)?.id;
    made.push({
      id: chance.uuid(),
      product,
      person,
      began,
      end,
      isActive: made.length === 2,
      requests,
      isToldOf: true,
      ...(continues && { continues }),
    });
  }
  return made;
}

function session(chance: Chance, { now, days }: HistoryOptions, isActive: boolean, before?: Made): Made {
  const id = chance.uuid();
  if (before && !before.isActive && !isActive && chance.is(0.06)) {
    const began = before.end + chance.between(8 * MINUTE, 2 * HOUR);
    if (began < now - HOUR) {
      const { product, person } = before;
      const end = began + chance.between(4 * MINUTE, 50 * MINUTE);
      return { id, product, person, began, end, isActive, requests: 8, continues: before.id };
    }
  }
  const product = chance.byWeight(PRODUCTS);
  const person = product.isProgram || chance.is(0.06) ? undefined : chance.byWeight(PEOPLE);
  const requests = 2 + Math.floor(chance.lasting(11, 0.8));
  if (isActive) {
    const silence = chance.is(0.8) ? chance.between(0, 4 * MINUTE) : chance.between(5 * MINUTE, 18 * MINUTE);
    const end = now - silence;
    return { id, product, person, began: end - chance.between(2, 180) * MINUTE, end, isActive, requests };
  }
  let began = now;
  while (began > now - 12 * MINUTE) began = workingTime(chance, now, days);
  const end = Math.min(now - MINUTE, began + chance.lasting(22 * MINUTE, 0.9));
  return { id, product, person, began, end, isActive, requests };
}

/** More of them lately than at first, few at night and on weekends. */
function workingTime(chance: Chance, now: number, days: number): number {
  for (;;) {
    const time = now - days * DAY * (1 - chance.next() ** 0.75);
    const day = new Date(time).getUTCDay();
    const busy = (HOURS[new Date(time).getUTCHours()] ?? 1) * (day === 0 || day === 6 ? 0.25 : 1);
    if (chance.is(busy / 18)) return time;
  }
}

function sessionRow(chance: Chance, made: Made, { now, issuer }: HistoryOptions): object {
  const { id, product, person, isActive } = made;
  const subject = person?.email.split('@')[0];
  // Of a chain, each but the last was silent for too long: that is how chains come about.
  const reason =
    made.isToldOf || chance.is(0.62) ? 'timeout_no_activity' : chance.is(0.9) ? 'client_disconnect' : 'error';
  return {
    session_id: id,
    client_type: product.type,
    client_name: product.name,
    client_version: chance.oneOf(product.versions),
    client_capabilities: product.isProgram ? {} : { roots: { listChanged: true }, elicitation: {} },
    connected_at: at(made.began),
    last_activity: at(made.end),
    disconnected_at: isActive ? null : at(Math.min(now, made.end + 5 * MINUTE)),
    total_duration: isActive ? null : Math.round((Math.min(now, made.end + 5 * MINUTE) - made.began) / 1_000),
    status: isActive ? 'active' : 'disconnected',
    disconnect_reason: isActive ? null : reason,
    user_id: subject ?? null,
    user_email: person?.email ?? null,
    user_name: person?.name ?? null,
    metadata: null,
    reconnect_count: chance.is(0.05) ? 1 : 0,
    principal: subject ? `${issuer}#${subject}` : 'anonymous',
    era: 'legacy',
    protocol_version: product.protocol,
    continues: made.continues ?? null,
    idle_timeout_seconds: isActive ? 3_600 : 300,
  };
}

function requestRow(chance: Chance, made: Made, id: number, time: number): object {
  const isFirst = time === made.began;
  const tool = isFirst ? undefined : (chance.byWeight(TOOLS) as Tool & { upstream: string });
  if (made.continues !== undefined && !isFirst && chance.is(0.12)) return heartbeatRow(made, id, time);
  const durationUs = Math.round(tool ? 1_000 * chance.lasting(tool.medianMs, tool.spread) : 2_400);
  const isFailed = tool !== undefined && chance.is(tool.fails);
  const isLate = isFailed && chance.is(0.2);
  const bytes = tool ? 120 + JSON.stringify(tool.arguments).length : 180;
  const answerBytes = Math.round(isFailed ? 240 : chance.lasting(tool?.answerChars ?? 600, 0.5));
  const tokens = { in: Math.round(bytes / 4), out: Math.round(answerBytes / 4) };
  const spent = isLate ? 60_000_000 : durationUs;
  return {
    id,
    session_id: made.id,
    method: tool ? 'tools/call' : 'initialize',
    tool_name: tool?.name ?? null,
    prompt_tokens: tokens.in,
    completion_tokens: tokens.out,
    estimated_cost: (tokens.in * PRICE.out + tokens.out * PRICE.in) / 1_000,
    timestamp: at(time),
    duration_ms: Math.round(spent / 1_000),
    duration_us: spent,
    status: isLate ? 'timeout' : isFailed ? 'error' : 'success',
    error_message: isLate ? 'no answer within 60 s' : isFailed ? chance.oneOf(tool.failures) : null,
    upstream: tool?.upstream ?? 'github',
    request_bytes: bytes,
    response_bytes: answerBytes,
    model: MODEL,
  };
}

function heartbeatRow(made: Made, id: number, time: number): object {
  return {
    id,
    session_id: made.id,
    method: 'tools/call',
    tool_name: 'heartbeat',
    timestamp: at(time),
    duration_ms: 1,
    duration_us: 640,
    status: 'success',
    upstream: 'github',
    request_bytes: 96,
    response_bytes: 210,
    model: MODEL,
  };
}

function at(time: number): string {
  return new Date(time).toISOString().replace('Z', '000Z');
}
