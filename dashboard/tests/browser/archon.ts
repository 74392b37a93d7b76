/** A real `archon serve` on free ports, and a client that calls tools through it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const BINARY = process.env['ARCHON_BIN'] ?? join(import.meta.dirname, '../../../target/debug/archon');
const TYPES = { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream' };

interface Settings {
  environment?: Record<string, string>;
  /** What stands in its `archon.toml`. */
  config?: string;
}

export class Archon {
  readonly #folder: string;
  readonly #environment: Record<string, string>;
  #process: ChildProcess | undefined;
  #ports = { mcp: '0', api: '0' };

  private constructor(folder: string, environment: Record<string, string>) {
    this.#folder = folder;
    this.#environment = environment;
  }

  static async start({ environment = {}, config = '' }: Settings = {}): Promise<Archon> {
    const archon = new Archon(await mkdtemp(join(tmpdir(), 'archon-browser-')), environment);
    await writeFile(join(archon.#folder, 'archon.toml'), config);
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

  /** Takes in what another gateway gave out. */
  async takeIn(lines: string): Promise<void> {
    const answer = await fetch(`${this.url}/api/mcp/sessions/import`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-ndjson' },
      body: lines,
    });
    if (!answer.ok) throw new Error(`the import was answered with ${answer.status}: ${await answer.text()}`);
    await answer.text();
  }

  /** A client that says who it is. */
  async connect(
    name: string,
    version = '1.0',
    { server, token, protocol }: ConnectOptions = {},
  ): Promise<Client> {
    const url = server === undefined ? this.mcp : `${this.mcp}/${server}`;
    const clientInfo = { name, version };
    const handles: Record<string, string> = token === undefined ? {} : { Authorization: `Bearer ${token}` };
    const params = { protocolVersion: protocol ?? '2025-11-25', capabilities: {}, clientInfo };
    const answer = await post(url, { jsonrpc: '2.0', id: 1, method: 'initialize', params }, handles);
    await answer.text();
    if (!answer.ok) throw new Error(`initialize was answered with ${answer.status}`);
    for (const header of ['Mcp-Session-Id', 'X-Archon-Session-Id']) {
      handles[header] = answer.headers.get(header) ?? '';
    }
    handles['MCP-Protocol-Version'] = params.protocolVersion;
    let lastId = 1;
    return {
      id: handles['X-Archon-Session-Id'] ?? '',
      call: async (tool, args = {}) => {
        lastId += 1;
        const of = { name: tool, arguments: args };
        await (
          await post(url, { jsonrpc: '2.0', id: lastId, method: 'tools/call', params: of }, handles)
        ).text();
      },
      leave: async () => {
        await (await fetch(url, { method: 'DELETE', headers: handles })).text();
      },
    };
  }
}

interface ConnectOptions {
  /** The upstream to talk to, by its name; the default one if left out. */
  server?: string;
  /** Who it is, where that is asked for. */
  token?: string | undefined;
  protocol?: string;
}

export interface Client {
  /** Its session. */
  id: string;
  call: (tool: string, args?: object) => Promise<void>;
  /** Says goodbye. */
  leave: () => Promise<void>;
}

function post(url: string, body: object, headers: Record<string, string>): Promise<Response> {
  return fetch(url, { method: 'POST', headers: { ...TYPES, ...headers }, body: JSON.stringify(body) });
}

function port(said: string, place: RegExp): string {
  const found = place.exec(said)?.[1];
  if (found === undefined) throw new Error(`no port in: ${said}`);
  return found;
}
