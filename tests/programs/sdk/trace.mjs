// Imported into a program that speaks HTTP with undici or Node's own fetch: appends the method of each request to $TRACE.

import { appendFileSync } from 'node:fs';
import { subscribe } from 'node:diagnostics_channel';

subscribe('undici:request:create', ({ request }) => appendFileSync(process.env.TRACE, `${request.method}\n`));
