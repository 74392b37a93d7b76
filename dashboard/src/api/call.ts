/** Calls of the API: same origin, the login's cookie, JSON both ways, a `Problem` where one fails. */
import createClient from 'openapi-fetch';
import { printable } from '@/format/printable';
import { Problem } from './problem';
import type { paths } from './schema';

export const api = createClient<paths>({
  baseUrl: window.location.origin,
  credentials: 'same-origin',
  // Looked up at each call, so that tests can answer.
  fetch: async (request) => readable(await window.fetch(request)),
  querySerializer: { array: { style: 'form', explode: true } },
});

/** Returns the answer with names as they can be shown. */
async function readable(response: Response): Promise<Response> {
  const text = await response.text();
  const { status, statusText, headers } = response;
  return new Response(text === '' ? null : printable(text), { status, statusText, headers });
}

interface Answered<Body> {
  data?: Body;
  error?: unknown;
  response: Response;
}

/** Waits for a call; what is no success is thrown. */
export async function answerOf<Body>(call: Promise<Answered<Body>>): Promise<NonNullable<Body>> {
  let answered: Answered<Body>;
  try {
    answered = await call;
  } catch (cause) {
    // A query that nobody needs any more is cut off: that is no failure.
    if (cause instanceof DOMException && cause.name === 'AbortError') throw cause;
    throw Problem.unreachable();
  }
  const { data, error, response } = answered;
  if (data === undefined || data === null) throw Problem.fromBody(response.status, error);
  return data;
}
