// Makes src/api/schema.d.ts from the API's description, which the server's tests keep true.
import { readFile, writeFile } from 'node:fs/promises';
import openapi, { astToString } from 'openapi-typescript';

const description = JSON.parse(await readFile('../crates/archon-server/openapi.json', 'utf8'));
for (const methods of Object.values(description.paths)) {
  // Paths name calls well enough; two calls of one id would be taken for one.
  for (const call of Object.values(methods)) delete call.operationId;
}
const made = astToString(await openapi(description));
await writeFile('src/api/schema.d.ts', `// Made by make-types.mjs from the API's description.\n\n${made}`);
