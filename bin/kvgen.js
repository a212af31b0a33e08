#!/usr/bin/env node
// Is this Node new enough? An old one must be able to read this file, so that it can say what is wrong: the rest of
// kvgen, in newer JavaScript, is imported only after that.

if (Number.parseInt(process.versions.node, 10) < 20) {
  process.stderr.write(
    `kvgen: Node 20 or newer is needed, found ${process.versions.node}; install it from https://nodejs.org or with your version manager\n`,
  );
  process.exitCode = 1;
} else {
  import('./start.js');
}
