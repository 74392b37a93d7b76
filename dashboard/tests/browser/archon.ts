/** A real `archon serve` on free ports, and a client that calls tools through it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const BINARY = process.env['ARCHON_BIN'] ?? join(import.meta.dirname, '../../../target/debug/archon');
const TYPES = { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream' };

export class Archon {
  readonly #folder: string;
  readonly #environment: Record<string, string>;
  #process: ChildProcess | undefined;
  #ports = { mcp: '0', api: '0' };

  private constructor(folder: string, environment: Record<string, string>) {
    this.#folder = folder;
    this.#environment = environment;
  }

  static async start(environment: Record<string, string> = {}): Promise<Archon> {
    const archon = new Archon(await mkdtemp(join(tmpdir(), 'archon-browser-')), environment);
    await archon.startAgain();
    return archon;
  }

  /** On the ports that it had before, if it ran before. */
  async startAgain(): Promise<void> {
    const { mcp, api } = this.#ports;
    const serve = ['serve', '--mcp-port', mcp, '--server-port', api, '--db', join(this.#folder, 'archon.db')];
    const started = spawn(BINARY, serve, {
      cwd: this.#folder,
      env: { PATH: process.env['PATH'] ?? '', ...this.#environment },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#process = started;
    const said = await new Promise<string>((resolve, reject) => {
      let text = '';
      started.stdout.on('data', (part: Buffer) => {
        text += part.toString();
        if (text.includes('database:')) resolve(text);
      });
      started.once('exit', (code) => reject(new Error(`archon ended with ${code}: ${text}`)));
      started.once('error', reject);
    });
    this.#ports = { mcp: port(said, /MCP endpoint: \S+:(\d+)/), api: port(said, /health: +\S+:(\d+)/) };
  }

  get url(): string {
    return `http://127.0.0.1:${this.#ports.api}`;
  }

  get mcp(): string {
    return `http://127.0.0.1:${this.#ports.mcp}/mcp`;
  }

  /** As `kill -9` does. */
  async kill(): Promise<void> {
    const running = this.#process;
    this.#process = undefined;
    if (!running || running.exitCode !== null) return;
    running.kill('SIGKILL');
    await once(running, 'exit');
  }

  async end(): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** A client that says who it is. */
  async connect(name: string, version = '1.0'): Promise<Client> {
    const clientInfo = { name, version };
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo };
    const answer = await post(this.mcp, { jsonrpc: '2.0', id: 1, method: 'initialize', params }, {});
    const handles: Record<string, string> = { 'MCP-Protocol-Version': '2025-11-25' };
    for (const header of ['Mcp-Session-Id', 'X-Archon-Session-Id']) {
      handles[header] = answer.headers.get(header) ?? '';
    }
    return {
      id: handles['X-Archon-Session-Id'] ?? '',
      call: async (tool, args = {}) => {
        const call = { jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: tool, arguments: args } };
        await (await post(this.mcp, call, handles)).text();
      },
    };
  }
}

export interface Client {
  /** Its session. */
  id: string;
  call: (tool: string, args?: object) => Promise<void>;
}

function post(url: string, body: object, headers: Record<string, string>): Promise<Response> {
  return fetch(url, { method: 'POST', headers: { ...TYPES, ...headers }, body: JSON.stringify(body) });
}

function port(said: string, place: RegExp): string {
  const found = place.exec(said)?.[1];
  if (found === undefined) throw new Error(`no port in: ${said}`);
  return found;
}
