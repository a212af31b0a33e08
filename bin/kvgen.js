#!/usr/bin/env node
// Is this Node new enough, and is kvgen built? An old Node must be able to read this file, so that it can say what is
// wrong: the rest of kvgen, in newer JavaScript, is imported only after that.

process.exitCode = 1; // what counts if the command never comes to its end; else main sets another
if (Number.parseInt(process.versions.node, 10) < 20) {
  process.stderr.write(
    `kvgen: Node 20 or newer is needed, found ${process.versions.node}; install it from https://nodejs.org or with your version manager\n`,
  );
} else {
  import('node:fs').then(({ existsSync }) => start(existsSync));
}

async function start(existsSync) {
  const cli = new URL('../dist/cli/main.js', import.meta.url);
  if (existsSync(cli)) {
    const { main } = await import(cli.href);
    await main(process.argv.slice(2));
  } else {
    process.stderr.write(
      'kvgen: not built yet (dist/ is missing); run `npm install`, or `npm run build`, in its folder\n',
    );
  }
}
