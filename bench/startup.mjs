// From the start of a process to the first token of `stories` on each backend, against loading TensorFlow alone: alternating,
// each in a new process. Prints one JSON line.
//
//     node bench/startup.mjs [runs]

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const RUNS = Number(process.argv[2] ?? 10);
const BIN = fileURLToPath(new URL('../bin/kvgen.js', import.meta.url));
const require = createRequire(import.meta.url);
const LIBRARY = require.resolve('@tensorflow/tfjs-node');
const TEXT = ['-n', '64', '--temp', '0', 'Once upon a time'];
/** As kvgen puts them back. */
const SHIM = "const u = require('util'); u.isNullOrUndefined = (v) => v == null; u.isArray = Array.isArray;";

/** Milliseconds until the process writes its first byte. */
async function untilOutput(args) {
  const start = performance.now();
  const env = { ...process.env, TF_CPP_MIN_LOG_LEVEL: '2' };
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'ignore'] });
  await once(child.stdout, 'data');
  const ms = performance.now() - start;
  child.stdout.resume();
  await once(child, 'close');
  return ms;
}

function summary(times) {
  const sorted = times.map(Math.round).sort((a, b) => a - b);
  return { median_ms: sorted[sorted.length >> 1], best_ms: sorted[0] };
}

const library = [];
const node = [];
const simd = [];
for (let run = 0; run < RUNS; run++) {
  library.push(await untilOutput(['-e', `${SHIM} require(${JSON.stringify(LIBRARY)}); process.stdout.write('.')`]));
  node.push(await untilOutput([BIN, '--backend', 'node', ...TEXT]));
  simd.push(await untilOutput([BIN, '--backend', 'simd', ...TEXT]));
}
console.log(JSON.stringify({ runs: RUNS, library: summary(library), node: summary(node), simd: summary(simd) }));
