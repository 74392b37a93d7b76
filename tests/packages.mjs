// Loads the packages that scripts/install-test-tools installs, by their names there.

import { createRequire } from 'node:module';

export const load = createRequire(new URL('../.tools/npm/package.json', import.meta.url));

// The releases of the TypeScript SDK that are tested: where each is installed.
export const RELEASES = { 1.23: 'sdk-1.23', 1: '@modelcontextprotocol/sdk', 2: '@modelcontextprotocol' };
