// An MCP server on the TypeScript SDK: `server.mjs RELEASE KIND [PORT]`.
//
// KIND is how its author built it:
//   stdio         a process for each client
//   stateful      HTTP as in the SDK's examples: a session in memory for each client
//   resumable     the same with an event store, which numbers the events of its streams
//   json          the same without streams in answers
//   stateless     HTTP, a server for each request; release 2 serves both eras so
// Release 2 speaks both eras on stdio and where it is stateless, else the legacy one.

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

import { load, RELEASES } from '../../packages.mjs';
import * as offered from './tools.mjs';

const [release, kind, port] = process.argv.slice(2);
const root = RELEASES[release];
const journal = [];
const INFO = { name: `sdk-${release}-${kind}`, version: '1.0.0' };
const CAPABILITIES = {
  tools: { listChanged: true }, resources: { subscribe: true }, prompts: {}, logging: {}, completions: {},
};

// What both releases do, whatever they call it.
function methods(server, callOf) {
  return {
    'tools/list': () => ({ tools: offered.tools }),
    'tools/call': ({ params }, context) => offered.run(params.name, params.arguments, callOf(server, context)),
    'resources/list': () => ({ resources: offered.resources }),
    'resources/templates/list': () => ({ resourceTemplates: offered.templates }),
    'resources/read': ({ params }) => offered.read(params.uri),
    'resources/subscribe': () => ({}),
    'resources/unsubscribe': () => ({}),
    'prompts/list': () => ({ prompts: offered.prompts }),
    'prompts/get': ({ params }) => offered.prompt(params.name, params.arguments),
    'completion/complete': () => ({ completion: { values: ['paris', 'park'], total: 2, hasMore: false } }),
  };
}

// What a question to a client is, and what its stream is told.
const elicitation = (message, requestedSchema) => ({ mode: 'form', message, requestedSchema });
const sampling = (prompt) => ({ messages: [{ role: 'user', content: { type: 'text', text: prompt } }], maxTokens: 100 });
const logged = (data) => ({ level: 'info', logger: 'test', data });
const progressed = (token, progress, total) => ({ method: 'notifications/progress', params: { progressToken: token, progress, total } });

function release1() {
  const { Server } = load(`${root}/server/index.js`);
  const types = load(`${root}/types.js`);
  const { StreamableHTTPServerTransport: Transport } = load(`${root}/server/streamableHttp.js`);
  const { StdioServerTransport } = load(`${root}/server/stdio.js`);
  const schemas = new Map(
    Object.entries(types)
      .filter(([name, schema]) => name.endsWith('RequestSchema') && schema.shape?.method)
      .map(([, schema]) => [schema.shape.method.value ?? schema.shape.method._def?.value, schema]),
  );
  const notes = new WeakMap();

  const callOf = (server, extra) => ({
    notes: notes.get(server),
    journal,
    signal: extra.signal,
    progress: async (done, total) => {
      const token = extra._meta?.progressToken;
      if (token !== undefined) await extra.sendNotification(progressed(token, done, total));
    },
    log: (data) => extra.sendNotification({ method: 'notifications/message', params: logged(data) }),
    announce: () => server.sendLoggingMessage(logged('announced')),
    elicit: (message, schema) => {
      // 1.23 knows one mode only, and does not say which.
      const { mode, ...params } = elicitation(message, schema);
      return extra.sendRequest({ method: 'elicitation/create', params }, types.ElicitResultSchema);
    },
    sample: (prompt) => extra.sendRequest({ method: 'sampling/createMessage', params: sampling(prompt) }, types.CreateMessageResultSchema),
    closeStream: () => extra.closeSSEStream?.(),
  });

  const make = () => {
    const server = new Server(INFO, { capabilities: CAPABILITIES });
    notes.set(server, []);
    for (const [method, handle] of Object.entries(methods(server, callOf))) {
      server.setRequestHandler(schemas.get(method), handle);
    }
    return server;
  };
  return { make, Transport, stdio: () => make().connect(new StdioServerTransport()) };
}

function release2() {
  const { Server, createMcpHandler, inputRequired } = load(`${root}/server`);
  const { serveStdio } = load(`${root}/server/stdio`);
  const { NodeStreamableHTTPServerTransport: Transport, toNodeHandler } = load(`${root}/node`);
  const notes = new WeakMap();

  // A handler is written once for both eras: it returns its question, and is begun again with the answer.
  const question = (context, request) => {
    const answer = context.mcpReq.inputResponses?.answer;
    if (answer) return answer;
    throw { inputRequired: inputRequired({ inputRequests: { answer: request } }) };
  };
  const callOf = (server, context) => ({
    notes: notes.get(server),
    journal,
    signal: context.mcpReq.signal,
    progress: async (done, total) => {
      const token = context.mcpReq._meta?.progressToken;
      if (token !== undefined) await context.mcpReq.notify(progressed(token, done, total));
    },
    log: (data) => context.mcpReq.notify({ method: 'notifications/message', params: logged(data) }),
    announce: () => server.sendLoggingMessage(logged('announced')),
    elicit: (message, schema) => question(context, inputRequired.elicit(elicitation(message, schema))),
    sample: (prompt) => question(context, inputRequired.createMessage(sampling(prompt))),
    closeStream: () => context.http?.closeSSE?.(),
  });

  const make = () => {
    const server = new Server(INFO, { capabilities: CAPABILITIES });
    notes.set(server, []);
    for (const [method, handle] of Object.entries(methods(server, callOf))) server.setRequestHandler(method, handle);
    return server;
  };
  const stateless = () => toNodeHandler(createMcpHandler(make));
  return { make, Transport, stdio: () => serveStdio(make), stateless };
}

// Numbers what is sent, and sends it again: the least that the SDKs call an event store.
class EventStore {
  events = [];

  async storeEvent(stream, message) {
    const id = `${stream}#${this.events.length}`;
    this.events.push({ id, stream, message });
    return id;
  }

  async getStreamIdForEventId(id) {
    return this.events.find((event) => event.id === id)?.stream;
  }

  async replayEventsAfter(last, { send }) {
    const at = this.events.findIndex((event) => event.id === last);
    const stream = this.events[at]?.stream ?? '';
    for (const event of this.events.slice(at + 1)) {
      // A priming event is stored as an empty message.
      if (event.stream === stream && event.message.jsonrpc) await send(event.id, event.message);
    }
    return stream;
  }
}

// As the SDK's examples have it: the sessions are in a table, and what is not there is refused.
function sessions({ make, Transport }) {
  const open = new Map();
  const options = {
    stateful: {},
    resumable: { eventStore: new EventStore(), retryInterval: 100 },
    json: { enableJsonResponse: true },
  }[kind];
  return async (request, response, body) => {
    const id = request.headers['mcp-session-id'];
    if (open.has(id)) return open.get(id).handleRequest(request, response, body);
    if (id || body?.method !== 'initialize') {
      response.writeHead(400, { 'content-type': 'application/json' });
      const error = { code: -32000, message: 'Bad Request: No valid session ID provided' };
      return response.end(JSON.stringify({ jsonrpc: '2.0', error, id: null }));
    }
    const transport = new Transport({
      ...options,
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => open.set(id, transport),
      onsessionclosed: (id) => open.delete(id),
    });
    await make().connect(transport);
    return transport.handleRequest(request, response, body);
  };
}

function without({ make, Transport }) {
  return async (request, response, body) => {
    if (request.method !== 'POST') return response.writeHead(405, { allow: 'POST' }).end();
    const server = make();
    const transport = new Transport({ sessionIdGenerator: undefined });
    response.on('close', () => server.close());
    await server.connect(transport);
    return transport.handleRequest(request, response, body);
  };
}

async function bodyOf(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return chunks.length ? JSON.parse(Buffer.concat(chunks)) : undefined;
}

const sdk = release === '2' ? release2() : release1();
if (kind === 'stdio') {
  await sdk.stdio();
} else {
  const handle = kind === 'stateless' ? (sdk.stateless?.() ?? without(sdk)) : sessions(sdk);
  const http = createServer(async (request, response) => {
    try {
      await handle(request, response, await bodyOf(request));
    } catch (error) {
      console.error(error);
      if (!response.headersSent) response.writeHead(500);
      response.end();
    }
  });
  http.listen(Number(port ?? 0), '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${http.address().port}/mcp`));
}
