import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { snippetsFor } from './snippets';

const SNAPSHOT = '../crates/archon-server/src/cli/client_config/snippets.snapshot';

it('tells clients what the command line tells them', () => {
  const said = snippetsFor('http://127.0.0.1:8051/mcp', 'archon')
    .map(({ agent, place, text }) => `== ${agent}: ${place}\n${text}\n\n`)
    .join('');
  expect(said).toBe(readFileSync(SNAPSHOT, 'utf8'));
});

it('quotes what a shell would take apart', () => {
  const [claude] = snippetsFor("https://mcp.example/it's?x=1&y=$z", 'x-1');
  expect(claude?.text).toBe(`claude mcp add --transport http x-1 'https://mcp.example/it'\\''s?x=1&y=$z'`);
});
