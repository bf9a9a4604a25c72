// Every script in turn, each in its own process: none can spoil or outlive another. One closing line for all.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { base } from './lib.mjs';

const SCRIPTS = ['http-audits', 'graphql-ws', 'close-codes', 'graphql-sse', 'apollo', 'urql'];

let passed = 0;
let failed = 0;
for (const script of SCRIPTS) {
  const path = fileURLToPath(new URL(`${script}.mjs`, import.meta.url));
  const child = spawn(process.execPath, [path, base], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exit = new Promise((resolve) => child.on('close', resolve));
  let closing;
  for await (const line of createInterface({ input: child.stdout })) {
    closing = line.match(/^(\d+) passed, (\d+) failed$/);
    if (!closing) console.log(line);
  }
  const code = await exit;
  if (closing) {
    passed += Number(closing[1]);
    failed += Number(closing[2]);
  } else {
    failed++;
    console.log(`FAIL ${script}: ended with code ${code} and without its closing line (has \`npm ci\` been run?)`);
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
