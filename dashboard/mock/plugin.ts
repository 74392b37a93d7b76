/** Serves the mock API from Vite's development server: REST, the login's cookie, and the WebSocket. */
import type { IncomingMessage } from 'node:http';
import type { Plugin } from 'vite';
import { WebSocketServer } from 'ws';
import { answer, type MockOptions } from './answer.ts';
import { goOn, snapshot } from './live.ts';
import { makeWorld } from './world.ts';

const COOKIE = 'mock_login=1';
/** Events a second, like a team at work. */
const EVENTS_PER_SECOND = 6;

export function mockApi(): Plugin {
  return {
    name: 'mock-api',
    apply: 'serve',
    configureServer(server) {
      if (process.env['VITEST']) return;
      const token = process.env['MOCK_TOKEN'];
      const options: MockOptions = token ? { token } : {};
      const world = makeWorld(Date.now(), {
        sessions: Number(process.env['MOCK_SESSIONS'] ?? 2_400),
        active: 38,
      });

      server.middlewares.use(async (request, response, next) => {
        const url = new URL(request.url ?? '/', 'http://mock');
        if (!url.pathname.startsWith('/api/')) return next();
        const isLoggedIn = (request.headers.cookie ?? '').includes(COOKIE);
        const body = await readJson(request);
        const answered = answer(world, { method: request.method ?? 'GET', url, body, isLoggedIn }, options);
        if (answered.login !== undefined) {
          response.setHeader(
            'Set-Cookie',
            `${COOKIE}; HttpOnly; SameSite=Strict; Path=/; Max-Age=${answered.login ? 3600 : 0}`,
          );
        }
        response.statusCode = answered.status;
        response.setHeader('Content-Type', 'application/json');
        response.end(JSON.stringify(answered.body));
      });

      const sockets = new WebSocketServer({ noServer: true });
      server.httpServer?.on('upgrade', (request, socket, head) => {
        if (!request.url?.startsWith('/api/mcp/ws/sessions')) return;
        sockets.handleUpgrade(request, socket, head, (client) =>
          client.send(JSON.stringify(snapshot(world))),
        );
      });
      const timer = setInterval(() => {
        for (const frame of goOn(world)) {
          const text = JSON.stringify(frame);
          for (const client of sockets.clients) client.send(text);
        }
      }, 1000 / EVENTS_PER_SECOND);
      server.httpServer?.on('close', () => clearInterval(timer));
    },
  };
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return parts.length === 0 ? null : JSON.parse(Buffer.concat(parts).toString());
}
