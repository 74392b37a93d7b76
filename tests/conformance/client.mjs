// The client that conformance's client scenarios try: `client.mjs URL`, on the release of the TypeScript SDK for the version.
//
// It does what all scenarios but those about OAuth ask for: it connects, lists the tools, calls each at once, and
// answers what it is asked, with the defaults where there are some.

import { load, RELEASES } from '../packages.mjs';

const url = new URL(process.argv[2]);
const version = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION ?? '2025-11-25';
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const INFO = { name: 'conformance-client', version: '1.0.0' };
const CAPABILITIES = { elicitation: { form: { applyDefaults: true } }, sampling: {}, roots: {} };

const accept = ({ params }) => {
  const confirmed = params.requestedSchema?.properties?.confirmed ? { confirmed: true } : {};
  return { action: 'accept', content: confirmed };
};

function legacy() {
  const root = RELEASES[1];
  const { Client } = load(`${root}/client/index.js`);
  const { StreamableHTTPClientTransport } = load(`${root}/client/streamableHttp.js`);
  const { ElicitRequestSchema } = load(`${root}/types.js`);
  const client = new Client(INFO, { capabilities: CAPABILITIES });
  client.setRequestHandler(ElicitRequestSchema, accept);
  return { client, Transport: StreamableHTTPClientTransport };
}

function modern() {
  const { Client, StreamableHTTPClientTransport } = load(`${RELEASES[2]}/client`);
  const client = new Client(INFO, { capabilities: CAPABILITIES, versionNegotiation: { mode: 'auto' } });
  client.setRequestHandler('elicitation/create', accept);
  client.setRequestHandler('roots/list', () => ({ roots: [] }));
  return { client, Transport: StreamableHTTPClientTransport };
}

// Something for each argument that a tool insists on; the tool that echoes a schema gets the one beside it.
function argumentsFor({ name, inputSchema: { properties = {}, required = [] } }, tools) {
  if (name === 'json_schema_echo') return { schema: tools.find((other) => other.name !== name).inputSchema };
  const values = { number: 5, integer: 5, boolean: true, string: 'text' };
  return Object.fromEntries(required.map((name) => [name, values[properties[name]?.type] ?? null]));
}

const { client, Transport } = version >= '2026' ? modern() : legacy();
const transport = new Transport(url);
await client.connect(transport);
const { tools } = await client.listTools();
const ours = ['health_check', 'heartbeat', 'session_info', 'get_reconnect_token', 'reconnect_session'];
const calls = context.toolCalls ?? tools
  .filter(({ name }) => !ours.includes(name))
  .map((tool) => ({ name: tool.name, arguments: argumentsFor(tool, tools) }));
// A scenario may want a tool to fail.
await Promise.allSettled(calls.map((call) => client.callTool(call)));
await client.close();
process.exit(0);
