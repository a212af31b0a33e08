#!/usr/bin/env node
import { existsSync } from 'node:fs';

const cli = new URL('../dist/cli/main.js', import.meta.url);
if (existsSync(cli)) {
  const { main } = await import(cli.href);
  await main(process.argv.slice(2));
} else {
  process.stderr.write(
    'kvgen: not built yet (dist/ is missing); run `npm install`, or `npm run build`, in its folder\n',
  );
  process.exitCode = 1;
}
