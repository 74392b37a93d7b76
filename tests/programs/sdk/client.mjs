// Clients on the TypeScript SDK, driven by lines: `client.mjs RELEASE`.
//
// A request is `{"id": 1, "do": "connect", "who": "a", …}`, its answer `{"id": 1, "ok": {…}}` or
// `{"id": 1, "error": {"type": …, "message": …}}`. Answers come as they finish. Each `who` is a client.
//
//   connect    url, or command and env; mode (of release 2: legacy, auto, or a version); name (or it is called
//              as it is here), headers, reconnect_ms
//   call       name, arguments, label      → text (of all its blocks), is_error, structured
//   cancel     label (of a call)
//   request    method, params              → the result, whatever it is
//   list                                   → names of the tools
//   seen                                   → progress, messages, questions, errors, exchanges
//   close                               → ends its session
//   leave                               → without a word

import { createInterface } from 'node:readline';

import { load, RELEASES } from '../../packages.mjs';

const release = process.argv[2];
const root = RELEASES[release];
const clients = new Map();
const CALL_MS = 60_000;
const CAPABILITIES = { elicitation: {}, sampling: {} };
const PERSON = { username: 'ada', email: 'ada@example.com' };

// What a person and a model answer.
const answersOf = (seen) => ({
  'elicitation/create': ({ params }) => {
    seen.questions.push(params.message);
    return { action: 'accept', content: PERSON };
  },
  'sampling/createMessage': ({ params }) => {
    seen.questions.push(params.messages[0].content.text);
    return { role: 'assistant', model: 'none', content: { type: 'text', text: 'thought' } };
  },
});

function release1(name, seen) {
  const { Client } = load(`${root}/client/index.js`);
  const { StreamableHTTPClientTransport: Transport } = load(`${root}/client/streamableHttp.js`);
  const types = load(`${root}/types.js`);
  const client = new Client({ name, version: '1.0.0' }, { capabilities: CAPABILITIES });
  const answers = answersOf(seen);
  client.setNotificationHandler(types.LoggingMessageNotificationSchema, ({ params }) => void seen.messages.push(params.data));
  client.setRequestHandler(types.ElicitRequestSchema, answers['elicitation/create']);
  client.setRequestHandler(types.CreateMessageRequestSchema, answers['sampling/createMessage']);
  return {
    client,
    Transport,
    Stdio: load(`${root}/client/stdio.js`).StdioClientTransport,
    request: (method, params) => client.request({ method, params }, types.ResultSchema),
    call: (params, options) => client.callTool(params, undefined, options),
  };
}

function release2(name, seen, mode) {
  const { Client, StreamableHTTPClientTransport: Transport } = load(`${root}/client`);
  const versionNegotiation = { mode: ['legacy', 'auto'].includes(mode) ? mode : { pin: mode } };
  const client = new Client({ name, version: '1.0.0' }, { capabilities: CAPABILITIES, versionNegotiation });
  client.setNotificationHandler('notifications/message', ({ params }) => void seen.messages.push(params.data));
  for (const [method, answer] of Object.entries(answersOf(seen))) client.setRequestHandler(method, answer);
  return {
    client,
    Transport,
    Stdio: load(`${root}/client/stdio`).StdioClientTransport,
    request: (method, params) => client.request({ method, params }),
    call: (params, options) => client.callTool(params, options),
  };
}

// Notes of each HTTP exchange what was asked and what came back.
const tracing = (exchanges) => async (url, init = {}) => {
  const exchange = { method: init.method ?? 'GET', last_event_id: new Headers(init.headers).get('last-event-id') };
  if (typeof init.body === 'string') exchange.call = JSON.parse(init.body).method;
  exchanges.push(exchange);
  const response = await fetch(url, init);
  exchange.status = response.status;
  return response;
};

const commands = {
  async connect(_, { who, name = who, url, command, env, mode = 'legacy', headers = {}, reconnect_ms = 100 }) {
    const seen = { progress: [], messages: [], questions: [], errors: [], exchanges: [] };
    const sdk = (release === '2' ? release2 : release1)(name, seen, mode);
    sdk.client.onerror = (error) => void seen.errors.push(String(error.message));
    const reconnectionOptions = {
      initialReconnectionDelay: reconnect_ms, maxReconnectionDelay: 1000, reconnectionDelayGrowFactor: 1.5, maxRetries: 30,
    };
    const options = { fetch: tracing(seen.exchanges), requestInit: { headers }, reconnectionOptions };
    const transport = command
      ? new sdk.Stdio({ command: command[0], args: command.slice(1), env, stderr: 'inherit' })
      : new sdk.Transport(new URL(url), options);
    clients.set(who, { ...sdk, seen, transport, running: new Map() });
    await sdk.client.connect(transport);
    return { server: sdk.client.getServerVersion()?.name, session: transport.sessionId ?? null };
  },
  async call({ call, seen, running }, { name, arguments: args = {}, label }) {
    const abort = new AbortController();
    if (label) running.set(label, abort);
    const onprogress = ({ progress }) => void seen.progress.push(progress);
    const result = await call({ name, arguments: args }, { onprogress, signal: abort.signal, timeout: CALL_MS });
    const text = result.content.map((block) => block.text ?? block.type).join(' ');
    return { text, is_error: result.isError ?? false, structured: result.structuredContent ?? null };
  },
  cancel: ({ running }, { label }) => running.get(label).abort('enough'),
  request: ({ request }, { method, params }) => request(method, params),
  list: async ({ client }) => ({ names: (await client.listTools()).tools.map((tool) => tool.name) }),
  seen: ({ seen }) => seen,
  leave: ({ client }) => client.close(),
  async close({ client, transport }) {
    await transport.terminateSession();
    await client.close();
  },
};

async function answer(line) {
  const { id, do: command, who, ...rest } = JSON.parse(line);
  const reply = { id };
  try {
    reply.ok = (await commands[command](clients.get(who), { who, ...rest })) ?? {};
  } catch (error) {
    reply.error = { type: String(error.code ?? error.name ?? 'Error'), message: String(error.message ?? error) };
  }
  console.log(JSON.stringify(reply));
}

// The end of the input is the end of the clients, whatever they still have open.
createInterface({ input: process.stdin }).on('line', answer).on('close', () => process.exit(0));
