// What `npm install` runs: builds dist/ in a checkout, then puts the native engine in place. Exits 0 also when that
// fails, since kvgen runs without it; only Ctrl-C ends npm too. Its last line says which engine is in place.
// An old Node must be able to read this file, so that it can say what is wrong: all else is imported later.

const log = (line) => process.stderr.write(`${line}\n`);

if (Number.parseInt(process.versions.node, 10) < 20) {
  log(`kvgen: Node 20 or newer is needed, found ${process.versions.node}; install it, then run npm install again`);
} else {
  install().catch((error) => {
    log(`kvgen: no native engine (${error instanceof Error ? error.message : error}); "kvgen setup" tries again`);
  });
}

async function install() {
  const { build } = await import('./build.js');
  await build({ log }).catch((error) => log(`kvgen: ${error.message}`));
  const { catchInterrupts } = await import('../dist/cli/shell/interrupts.js');
  const { setup } = await import('../dist/cli/setup-command.js');
  const { signal, exitCode } = catchInterrupts();
  try {
    await setup({ log, signal });
  } catch (error) {
    if (!signal.aborted) {
      throw error;
    }
  }
  process.exitCode = exitCode();
}
