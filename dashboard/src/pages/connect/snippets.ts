/**
 * What each client wants to be told. The same texts as those of `archon client-config`, and a test holds them to its
 * snapshot: who changes one is led to the other.
 */

export interface Snippet {
  agent: string;
  name: string;
  /** Where it goes. */
  place: string;
  text: string;
}

interface Agent {
  /** As `archon client-config` calls it. */
  agent: string;
  name: string;
  place: string;
  text: (url: string, server: string, key: string) => string;
}

/** The header that keeps an agent's session where it keeps no cookies, as most do not. */
const KEY_HEADER = 'X-Archon-Client-Key';
/** As long as those of the command line: two UUIDs. */
const KEY_BYTES = 32;

const AGENTS: readonly Agent[] = [
  {
    agent: 'ClaudeCode',
    name: 'Claude Code',
    place:
      'Run this in your project; with `--scope user` it is for all of them, with `--scope project` for all who share it:',
    text: (url, server, key) =>
      `claude mcp add --transport http ${server} ${word(url)} --header '${KEY_HEADER}: ${key}'`,
  },
  {
    agent: 'ClaudeDesktop',
    name: 'Claude Desktop',
    place:
      'Put this into claude_desktop_config.json (Settings, Developer, Edit Config) and start Claude Desktop again; it needs Node:',
    text: (url, server, key) => servers('mcpServers', server, { args: bridge(url, key), command: 'npx' }),
  },
  {
    agent: 'Cursor',
    name: 'Cursor',
    place: 'Put this into ~/.cursor/mcp.json, or .cursor/mcp.json in a project:',
    text: (url, server, key) => servers('mcpServers', server, { headers: headers(key), url }),
  },
  {
    agent: 'VsCode',
    name: 'VS Code',
    place: 'Put this into .vscode/mcp.json, or where `MCP: Open User Configuration` leads:',
    text: (url, server, key) => servers('servers', server, { headers: headers(key), type: 'http', url }),
  },
  {
    agent: 'Windsurf',
    name: 'Windsurf',
    place: 'Put this into ~/.codeium/windsurf/mcp_config.json:',
    text: (url, server, key) => servers('mcpServers', server, { headers: headers(key), serverUrl: url }),
  },
  {
    agent: 'Codex',
    name: 'Codex',
    place: 'Put this into ~/.codex/config.toml:',
    text: (url, server, key) =>
      `[mcp_servers.${server}]\nurl = ${JSON.stringify(url)}\nhttp_headers = { "${KEY_HEADER}" = "${key}" }`,
  },
  {
    agent: 'Gemini',
    name: 'Gemini CLI',
    place: 'Put this into ~/.gemini/settings.json, or .gemini/settings.json in a project:',
    text: (url, server, key) => servers('mcpServers', server, { headers: headers(key), httpUrl: url }),
  },
  {
    agent: 'Zed',
    name: 'Zed',
    place: "Put this into Zed's settings.json (`zed: open settings file`):",
    text: (url, server, key) => servers('context_servers', server, { headers: headers(key), url }),
  },
  {
    agent: 'Inspector',
    name: 'Inspector',
    place: 'Run this (or `archon inspect`); it needs Node:',
    text: (url) => `npx @modelcontextprotocol/inspector --transport http --server-url ${word(url)}`,
  },
  {
    agent: 'Curl',
    name: 'curl',
    place: "Run this; its answer's Mcp-Session-Id goes into the next request's header:",
    text: curl,
  },
  {
    agent: 'Rust',
    name: 'Rust',
    place: 'A main.rs, with `cargo add` for what its first lines name:',
    text: rust,
  },
  { agent: 'Python', name: 'Python', place: 'A script, after `pip install archon-sessions`:', text: python },
];

/** Returns what every client is told of an endpoint, with a key for each: one that two share makes them one client. */
export function snippetsFor(url: string, server: string, keyOf: (agent: string) => string): Snippet[] {
  return AGENTS.map(({ text, ...agent }) => ({ ...agent, text: text(url, server, keyOf(agent.agent)) }));
}

/** Returns keys that are made here, once for each agent, and known nowhere else. */
export function newKeys(): (agent: string) => string {
  const keys = new Map(AGENTS.map(({ agent }) => [agent, newKey()]));
  return (agent) => keys.get(agent) ?? '';
}

function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function headers(key: string): object {
  return { [KEY_HEADER]: key };
}

function servers(key: string, server: string, settings: object): string {
  return JSON.stringify({ [key]: { [server]: settings } }, null, 2);
}

/** How `mcp-remote` is started. It refuses HTTP to other machines unless it is told. */
function bridge(url: string, key: string): string[] {
  const allowed = url.startsWith('http://') ? ['--allow-http'] : [];
  // Without a space: on Windows an argument with one is cut in two.
  return ['-y', 'mcp-remote', url, ...allowed, '--header', `${KEY_HEADER}:${key}`];
}

function curl(url: string): string {
  const clientInfo = { name: 'curl', version: '1' };
  const params = { capabilities: {}, clientInfo, protocolVersion: '2025-11-25' };
  const initialize = JSON.stringify({ id: 1, jsonrpc: '2.0', method: 'initialize', params });
  return [
    `curl -i ${word(url)} \\`,
    `  -H 'Content-Type: application/json' \\`,
    `  -H 'Accept: application/json, text/event-stream' \\`,
    `  -d '${initialize}'`,
  ].join('\n');
}

function rust(url: string): string {
  return `// cargo add anyhow serde_json
// cargo add archon-sessions-client
// cargo add tokio --features full
use archon_sessions_client::Client;
use serde_json::json;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Client::connect(${JSON.stringify(url)}).await?;
    for tool in client.list_tools().await? {
        println!("{}", tool.name);
    }
    let health = client.call_tool("health_check", json!({})).await?;
    println!("{:?}", health.structured_content);
    client.close().await;
    Ok(())
}`;
}

function python(url: string): string {
  return `import asyncio

from archon_sessions import MCPClient


async def main() -> None:
    async with MCPClient(base_url=${JSON.stringify(url)}) as client:
        for tool in await client.list_tools():
            print(tool.name)
        health = await client.call_tool("health_check")
        print(health.structured_content)


asyncio.run(main())`;
}

/** The text as one word of a shell's command. */
function word(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
