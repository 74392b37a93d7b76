/** The whole dashboard over the invented deployment: a test acts as a person does, and as a server does. */
import { createMemoryHistory } from '@tanstack/react-router';
import { render } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { vi } from 'vitest';
import { type Answered, answer, type MockOptions } from '../mock/answer';
import { makeWorld, type World } from '../mock/world';
import { makeClient } from '../src/api/client';
import { App } from '../src/app';
import { makeRouter } from '../src/routes';
import { TestSockets } from './sockets';

interface Asked {
  method: string;
  path: string;
  body: unknown;
}

interface ShowOptions extends MockOptions {
  /** What a call is answered instead. */
  instead?: (asked: Asked) => { status: number; body: unknown } | 'nothing' | undefined;
  world?: World;
}

export function show(path: string, options: ShowOptions = {}) {
  const world = options.world ?? makeWorld(Date.now(), { sessions: 60, active: 8 });
  const sockets = new TestSockets();
  const asked: Asked[] = [];
  let isLoggedIn = false;

  // Called with `new`, which an arrow function cannot be.
  vi.stubGlobal(
    'WebSocket',
    vi.fn(function open(url: string) {
      return sockets.open(url);
    }),
  );
  window.fetch = async (input) => {
    const request = input as Request;
    const url = new URL(request.url);
    const body = request.body === null ? null : await request.json();
    const call = { method: request.method, path: url.pathname + url.search, body };
    asked.push(call);
    const instead = options.instead?.(call);
    if (instead === 'nothing') throw new TypeError('Failed to fetch');
    const answered: Answered =
      instead ?? answer(world, { method: request.method, url, body, isLoggedIn }, options);
    if (answered.login !== undefined) isLoggedIn = answered.login;
    return Response.json(answered.body, { status: answered.status });
  };

  const history = createMemoryHistory({ initialEntries: [path] });
  render(<App client={makeClient()} router={makeRouter(history)} />);
  return { world, sockets, asked, history, person: userEvent.setup() };
}
