/** An MCP server over HTTP whose tools take as long, and fail as often, as real ones do. */
import { createServer, type Server as HttpServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { Chance } from './chance.ts';
import type { Server, Tool } from './servers.ts';

interface Asked {
  id?: number | string;
  method: string;
  params?: { name?: string; protocolVersion?: string };
}

const WORDS =
  'refund ledger order region total customer invoice shipment carrier tax rate due paid open'.split(' ');

/** Longer ones would keep pictures waiting. */
const DURATION_MAX_MS = 5_000;

export class Upstream {
  readonly #server: Server;
  readonly #http: HttpServer;
  readonly #chance = new Chance(11);

  private constructor(server: Server) {
    this.#server = server;
    this.#http = createServer(async (request, response) => {
      const asked = request.method === 'POST' ? ((await read(request)) as Asked) : undefined;
      if (!asked) return void response.writeHead(405).end();
      if (asked.id === undefined) return void response.writeHead(202).end();
      const answer = { jsonrpc: '2.0', id: asked.id, ...(await this.#answer(asked)) };
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(answer));
    });
  }

  static async start(server: Server): Promise<Upstream> {
    const upstream = new Upstream(server);
    await new Promise<void>((resolve) => upstream.#http.listen(0, '127.0.0.1', resolve));
    return upstream;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}/mcp`;
  }

  async end(): Promise<void> {
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
  }

  async #answer({ method, params }: Asked): Promise<{ result: object } | { error: object }> {
    switch (method) {
      case 'initialize':
        return {
          result: {
            protocolVersion: params?.protocolVersion ?? '2025-11-25',
            capabilities: { tools: {} },
            serverInfo: { name: this.#server.name, version: '1.4.0' },
          },
        };
      case 'ping':
        return { result: {} };
      case 'tools/list':
        return { result: { tools: this.#server.tools.map(described) } };
      case 'tools/call': {
        const tool = this.#server.tools.find(({ name }) => name === params?.name);
        if (!tool) return { error: { code: -32602, message: `unknown tool: ${params?.name}` } };
        return { result: await this.#call(tool) };
      }
      default:
        return { error: { code: -32601, message: `unknown method: ${method}` } };
    }
  }

  async #call(tool: Tool): Promise<object> {
    const chance = this.#chance;
    await wait(Math.min(DURATION_MAX_MS, chance.lasting(tool.medianMs, tool.spread)));
    const isError = chance.is(tool.fails);
    const text = isError ? chance.oneOf(tool.failures) : prose(chance, chance.lasting(tool.answerChars, 0.5));
    return { content: [{ type: 'text', text }], isError };
  }
}

function described({ name, description, arguments: example }: Tool): object {
  const properties = Object.fromEntries(
    Object.entries(example).map(([key, value]) => [key, { type: typeof value }]),
  );
  return { name, description, inputSchema: { type: 'object', properties } };
}

function prose(chance: Chance, chars: number): string {
  let text = '';
  while (text.length < chars) text += `${chance.oneOf(WORDS)} `;
  return text;
}

async function read(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return JSON.parse(Buffer.concat(parts).toString());
}
