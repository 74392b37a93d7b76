/** Runs the deployment until it is interrupted: `node tests/demo/serve.ts [sessions]`, after `cargo build`. */
import { once } from 'node:events';
import { Deployment } from './deployment.ts';

const sessions = Number(process.argv[2] ?? 2_400);
const deployment = await Deployment.start({ sessions, days: 62 });
console.log(`${deployment.archon.url}\nsession ${deployment.pictured}`);
await once(process, 'SIGINT');
await deployment.end();
