import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { newKeys, snippetsFor } from './snippets';

const KEY = '0123456789abcdef0123456789abcdef';
const SNAPSHOT = '../crates/archon-server/src/cli/client_config/snippets.snapshot';

it('tells clients what the command line tells them', () => {
  const said = snippetsFor('http://127.0.0.1:8051/mcp', 'archon', () => KEY)
    .map(({ agent, place, text }) => `== ${agent}: ${place}\n${text}\n\n`)
    .join('');
  expect(said).toBe(readFileSync(SNAPSHOT, 'utf8'));
});

it('quotes what a shell would take apart', () => {
  const [claude] = snippetsFor("https://mcp.example/it's?x=1&y=$z", 'x-1', () => KEY);
  const quoted = `'https://mcp.example/it'\\''s?x=1&y=$z'`;
  const header = `'X-Archon-Client-Key: ${KEY}'`;
  expect(claude?.text).toBe(`claude mcp add --transport http x-1 ${quoted} --header ${header}`);
});

it('makes a key for each agent, and keeps it', () => {
  const keyOf = newKeys();
  const keys = snippetsFor('http://127.0.0.1/', 'x', keyOf).map(({ agent }) => keyOf(agent));
  expect(new Set(keys).size).toBe(keys.length);
  for (const key of keys) expect(key).toMatch(/^[0-9a-f]{64}$/);
});
