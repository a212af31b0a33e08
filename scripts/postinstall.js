// What `npm install` runs: builds dist/ in a checkout, then puts the native engine in place. Always exits 0, since
// kvgen also runs without it. Its last line says which engine is in place.

import { build } from './build.js';

const log = (line) => process.stderr.write(`${line}\n`);

try {
  await build({ log }).catch((error) => log(`kvgen: ${error.message}`));
  const { setup } = await import('../dist/cli/setup-command.js');
  const code = await setup({ log });
  // 130 and 143: the person pressed Ctrl-C, and npm is to stop too.
  if (code > 128) {
    process.exitCode = code;
  }
} catch (error) {
  log(`kvgen: no native engine (${error instanceof Error ? error.message : error}); "kvgen setup" tries again`);
}
