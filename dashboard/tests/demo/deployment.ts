/** A whole deployment to look at: a real gateway before several servers, weeks of history, and clients that go on. */
import { setTimeout as wait } from 'node:timers/promises';
import { Archon, type Client } from '../browser/archon.ts';
import { Chance } from './chance.ts';
import { history } from './history.ts';
import { Issuer } from './issuer.ts';
import { PEOPLE, PRODUCTS } from './people.ts';
import { SERVERS, type Server } from './servers.ts';
import { Upstream } from './upstream.ts';

/** Clients that call while somebody looks. */
const CLIENTS = 26;
/** How long one of them waits between two calls, mostly. */
const PAUSE_MS = 1_600;

export interface DeploymentOptions {
  /** How many sessions there were before. */
  sessions: number;
  days: number;
}

export class Deployment {
  readonly archon: Archon;
  /** A session of which there is something to tell. */
  readonly pictured: string;
  readonly #parts: { end: () => Promise<void> }[];
  readonly #running: Promise<void>[];
  readonly #stop: AbortController;

  private constructor(
    archon: Archon,
    parts: { end: () => Promise<void> }[],
    clients: readonly Busy[],
    pictured: string,
  ) {
    this.archon = archon;
    this.pictured = pictured;
    this.#parts = parts;
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    this.#running = clients.map((busy, n) => keepCalling(busy, new Chance(100 + n), signal));
  }

  static async start({ sessions, days }: DeploymentOptions): Promise<Deployment> {
    const issuer = await Issuer.start();
    const upstreams = await Promise.all(SERVERS.map((server) => Upstream.start(server)));
    const urls = SERVERS.map(({ name }, n) => `[upstreams.${name}]\nurl = "${upstreams[n]?.url}"`);
    const auth = `[auth]\nissuer = "${issuer.url}"\njwks_url = "${issuer.keys}"\naudience = "mcp"\nrequired = false`;
    const first = urls[0] ?? '';
    const config = [auth, `${first}\ndefault = true`, ...urls.slice(1)].join('\n');
    // Made before the gateway starts, which asks the issuer for its keys: both are in this process.
    const { lines, pictured } = history({ now: Date.now(), days, sessions, active: 34, issuer: issuer.url });
    const archon = await Archon.start({ config });
    await archon.takeIn(lines);
    const clients = await connectAll(archon, issuer);
    return new Deployment(archon, [archon, issuer, ...upstreams], clients, pictured);
  }

  async end(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running);
    for (const part of this.#parts) await part.end();
  }
}

interface Busy {
  client: Client;
  server: Server;
}

async function connectAll(archon: Archon, issuer: Issuer): Promise<Busy[]> {
  const chance = new Chance(3);
  const clients: Busy[] = [];
  for (let n = 0; n < CLIENTS; n++) {
    // Each product once, then as they are used.
    const product = PRODUCTS[n] ?? chance.byWeight(PRODUCTS);
    const server = n === 0 ? (SERVERS[0] as Server) : chance.oneOf(SERVERS);
    const token = product.isProgram ? undefined : issuer.token(chance.byWeight(PEOPLE));
    const client = await archon.connect(product.name, product.versions[0], {
      server: server.name,
      token,
      protocol: product.protocol,
    });
    clients.push({ client, server });
  }
  return clients;
}

async function keepCalling({ client, server }: Busy, chance: Chance, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const tool = chance.byWeight(server.tools);
    try {
      await wait(chance.lasting(PAUSE_MS, 0.8), undefined, { signal });
      await client.call(tool.name, tool.arguments);
    } catch {
      // The gateway was stopped, or we are to stop.
    }
  }
}
