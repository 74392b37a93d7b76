/** A real browser against a real server: `npm run test:browser`, after `cargo build`. Needs Debian's chromium. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['*.test.ts'],
    environment: 'node',
    // Starting a server and a browser takes its time where machines are busy.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    fileParallelism: false,
  },
});
