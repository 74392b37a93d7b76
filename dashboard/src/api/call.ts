/** One call of the API: same origin, the login's cookie, JSON both ways, a `Problem` where it fails. */
import { Problem } from './problem';

export type Parameters = Record<string, string | number | boolean | undefined>;

const PREFIX = '/api/mcp';

export function get<Answer>(
  path: string,
  parameters: Parameters = {},
  signal?: AbortSignal,
): Promise<Answer> {
  return call<Answer>('GET', path + query(parameters), undefined, signal);
}

export function send<Answer>(
  method: 'POST' | 'PUT' | 'DELETE',
  path: string,
  body?: unknown,
): Promise<Answer> {
  return call<Answer>(method, path, body);
}

async function call<Answer>(
  method: string,
  path: string,
  body: unknown,
  signal?: AbortSignal,
): Promise<Answer> {
  const init: RequestInit = { method, credentials: 'same-origin', headers: { Accept: 'application/json' } };
  if (signal) init.signal = signal;
  if (body !== undefined) {
    init.headers = { ...init.headers, 'Content-Type': 'application/json' };
    init.body = JSON.stringify(body);
  }
  let answer: Response;
  try {
    answer = await fetch(PREFIX + path, init);
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw Problem.unreachable();
  }
  if (!answer.ok) throw await Problem.fromAnswer(answer);
  return (await answer.json()) as Answer;
}

/** Leaves out what is not set: the API takes an empty parameter for a wrong one. */
function query(parameters: Parameters): string {
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== '') pairs.set(name, String(value));
  }
  const text = pairs.toString();
  return text === '' ? '' : `?${text}`;
}
