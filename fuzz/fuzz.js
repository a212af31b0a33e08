// `npm run fuzz -- --minutes 5`: gives kvgen what nobody would give it on purpose, and looks whether it keeps what it promises. Each
// case follows from the seed and its number, so `--seed 7 --case 1234` repeats one and tells what it did. `--kind gguf` has no others.
// Exits 1 when something was found.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runCases } from './watch.js';

const KINDS = fileURLToPath(new URL('kinds/index.js', import.meta.url));
const EVERY_MS = 10_000;
const SHOWN = 20;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    cases: { type: 'string', default: 'Infinity' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    case: { type: 'string' },
    kind: { type: 'string' },
  },
});
const [seed, minutes, cases] = [values.seed, values.minutes, values.cases].map(Number);
const only = values.case === undefined ? undefined : Number(values.case);
if (![seed, minutes, cases, only ?? 0].every((n) => n >= 0) || !Number.isSafeInteger(seed)) {
  process.stderr.write('fuzz: --minutes, --cases, --seed and --case are numbers from 0\n');
  process.exit(2);
}

/** @type {Map<string, { cases: number, refused: number, ms: number, most: number }> milliseconds of computing} */
const counts = new Map();
/** From what is wrong, without numbers, to the first case of it and how many there were. */
const findings = new Map();
const start = performance.now();
let total = 0;
let shown = start;

const base = mkdtempSync(join(tmpdir(), 'kvgen-fuzz-'));
process.on('exit', () => {
  summary();
  rmSync(base, { recursive: true, force: true, maxRetries: 30 }); // a run of its own may not have ended yet
});
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
]) {
  process.on(signal, () => process.exit(code));
}
const say = (line) => process.stdout.write(`${line}\n`);
say(only === undefined ? `fuzz: seed ${seed}, ${minutes} minutes` : `fuzz: seed ${seed}, case ${only}`);
const [from, to] = only === undefined ? [0, Math.min(cases, Number.MAX_SAFE_INTEGER)] : [only, only + 1];
await runCases({ base, seed, from, to, kinds: KINDS, only: values.kind }, { onResult, isOver });
process.exitCode = findings.size > 0 ? 1 : 0;

function isOver() {
  return performance.now() - start > minutes * 60_000;
}

function onResult({ n, kind, refused, story, wrong, ms = 0 }) {
  const count = counts.get(kind) ?? { cases: 0, refused: 0, ms: 0, most: 0 };
  counts.set(kind, {
    cases: count.cases + 1,
    refused: count.refused + (refused ? 1 : 0),
    ms: count.ms + ms,
    most: Math.max(count.most, ms),
  });
  total++;
  if (only !== undefined) {
    say(story.join('\n'));
  }
  for (const what of wrong) {
    found(`${kind}: ${what}`, n);
  }
  if (performance.now() - shown > EVERY_MS) {
    shown = performance.now();
    say(`fuzz: ${total} cases in ${seconds()} s, ${findings.size} findings`);
  }
}

function found(what, n) {
  const alike = what.replace(/\S*worker-\w+|\d+/g, '#');
  const known = findings.get(alike);
  findings.set(alike, { what, n, ...known, times: (known?.times ?? 0) + 1 });
  if (known === undefined && findings.size <= SHOWN) {
    say(
      `finding: ${what.slice(0, 500)}\n  npm run fuzz -- --seed ${seed} --case ${n}${values.kind === undefined ? '' : ` --kind ${values.kind}`}`,
    );
  }
}

function seconds() {
  return Math.round((performance.now() - start) / 1000);
}

function summary() {
  say('\nkind       cases  refused  ms a case  at most');
  for (const [kind, { cases, refused, ms, most }] of [...counts].toSorted()) {
    const numbers = [
      [cases, 5],
      [refused, 8],
      [Math.round(ms / cases), 10],
      [Math.round(most), 8],
    ];
    say(`${kind.padEnd(10)} ${numbers.map(([n, width]) => String(n).padStart(width)).join(' ')}`);
  }
  for (const { what, n, times } of findings.values()) {
    say(`${times} × case ${n}: ${what.split('\n')[0]?.slice(0, 120)}`);
  }
  say(`fuzz: seed ${seed}, ${total} cases in ${seconds()} s, ${findings.size} findings`);
}
