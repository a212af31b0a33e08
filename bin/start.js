// Runs the command line that was built, or says that nothing was built yet.

import { existsSync } from 'node:fs';

process.exitCode = 1; // what counts if the command never comes to its end; else main sets another
const cli = new URL('../dist/cli/main.js', import.meta.url);
if (existsSync(cli)) {
  const { main } = await import(cli.href);
  await main(process.argv.slice(2));
} else {
  process.stderr.write(
    'kvgen: not built yet (dist/ is missing); run `npm install`, or `npm run build`, in its folder\n',
  );
}
