// `npm run stress -- --signals 300 --kills 300`: stops runs of all kinds at random moments, and looks at what they leave: exit code,
// output, files. After a kill, what was left must be gone with the next run, and the caches must be as good as before.
// Exits 1 when something was found. `--seed 7 --from 120` begins again where something was.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { breaches, short } from './contract.js';
import { Random } from './random.js';
import { jobsIn, OUT } from './stress-jobs.js';

const BIN = fileURLToPath(new URL('../bin/kvgen.js', import.meta.url));
const CODES = { SIGINT: 130, SIGTERM: 143 };
/** A run that was stopped ends within a second; on a busy machine that takes longer. */
const END_MS = 30_000;
const HOURS_AGO = 2 * 60 * 60 * 1000;

const { values } = parseArgs({
  options: {
    signals: { type: 'string', default: '300' },
    kills: { type: 'string', default: '300' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    from: { type: 'string', default: '0' },
  },
});
const [signals, kills, seed, first] = [values.signals, values.kills, values.seed, values.from].map(Number);

const base = mkdtempSync(join(tmpdir(), 'kvgen-stress-'));
const temporary = join(base, 'tmp');
const cache = join(base, 'cache');
mkdirSync(temporary);
process.on('exit', () => rmSync(base, { recursive: true, force: true, maxRetries: 3 }));
for (const [signal, code] of Object.entries(CODES)) {
  process.on(signal, () => process.exit(code));
}
const env = {
  ...cleanEnvironment(),
  HOME: base,
  XDG_CACHE_HOME: join(base, '.cache'),
  TMPDIR: temporary,
  NO_COLOR: '1',
};
const say = (line) => process.stdout.write(`${line}\n`);

const counts = { 'before it ran': 0, 'in the middle': 0, 'at its end': 0 };
let findings = 0;
let slowest = 0;

say(`stress: seed ${seed}, ${signals} signals, ${kills} kills`);
const jobs = [];
for (const job of jobsIn(base)) {
  jobs.push(await learn(job));
}
for (let n = first; n < signals + kills; n++) {
  const random = new Random(seed, n);
  const job = random.pick(jobs);
  const isKill = n % (signals + kills) >= signals;
  const wrong = isKill ? await kill(job, random) : await interrupt(job, random);
  for (const what of wrong) {
    findings++;
    say(
      `finding: ${n}, ${isKill ? 'kill' : 'signal'} of ${job.name}: ${what}\n  npm run stress -- --seed ${seed} --from ${n}`,
    );
  }
  if (n % 20 === 19) {
    say(`stress: ${n + 1} of ${signals + kills}, ${findings} findings`);
  }
}
const where = Object.entries(counts).map(([name, count]) => `${count} ${name}`);
say(`stress: seed ${seed}, ${where.join(', ')}; slowest end ${Math.round(slowest)} ms; ${findings} findings`);
process.exitCode = findings > 0 ? 1 : 0;

/** Runs a job to its end, to know what it writes and how long it takes. */
async function learn(job) {
  if (job.endless) {
    return { ...job, truth: '', ms: 1500 };
  }
  const start = performance.now();
  const ended = await run(job.argv).ended;
  const ms = performance.now() - start;
  const wrong = breaches(ended, [0]);
  if (wrong.length > 0) {
    throw new Error(`${job.name}: ${wrong.join('; ')}: ${ended.stderr}`);
  }
  job.learn?.();
  clear();
  return { ...job, truth: ended.stdout, ms };
}

/** Starts a job, and waits for a random moment of it. */
async function startAndWait(job, random) {
  if (random.chance(0.2)) {
    rmSync(cache, { recursive: true, force: true }); // or else there is nothing left to write
  }
  const start = performance.now();
  const { child, ended } = run([...job.argv, ...(job.caches ?? [])]);
  const isEarly = await Promise.race([sleep(random.below(1.1 * job.ms), false), ended]);
  if (isEarly) {
    job.ms = performance.now() - start; // caches have made it faster
  }
  return { child, ended };
}

/** Sends one signal, and sometimes a second one. @returns what is wrong */
async function interrupt(job, random) {
  const { child, ended } = await startAndWait(job, random);
  const signal = random.pick(Object.keys(CODES));
  const isHasty = random.chance(0.1);
  const start = performance.now();
  child.kill(signal);
  if (isHasty) {
    await sleep(random.below(30));
    child.kill(signal);
  }
  const result = await Promise.race([ended, sleep(END_MS, undefined, { ref: false })]);
  if (result === undefined) {
    child.kill('SIGKILL');
    return [`has not ended ${END_MS} ms after ${signal}`];
  }
  slowest = Math.max(slowest, performance.now() - start);
  // A second signal ends it at once, wherever it is.
  const wrong = [
    ...codeBreaches(job, result, signal),
    ...outputBreaches(job, result, isHasty),
    ...(isHasty ? [] : leftovers()),
  ];
  clear();
  return wrong;
}

/** @param isCut may it have ended within a line? */
function outputBreaches(job, { code, stdout }, isCut) {
  const output = isCut && code !== 0 ? stdout.slice(0, stdout.lastIndexOf('\n') + 1) : stdout;
  return job.check(output, job.truth, code === 0);
}

/** 0 where it had come to its end. Before kvgen runs, and when Node is leaving, the signal ends Node itself. */
function codeBreaches(job, { code, signal, stdout, stderr }, sent) {
  if (signal === sent && ((stdout === '' && stderr === '') || (stdout === job.truth && job.truth !== ''))) {
    counts[stdout === '' ? 'before it ran' : 'at its end']++;
    return [];
  }
  counts[code === 0 ? 'at its end' : 'in the middle']++;
  return breaches({ code, stdout, stderr }, [0, CODES[sent]]);
}

/** What an interrupted run has not cleaned up. */
function leftovers() {
  const found = [...allIn(temporary), ...allIn(cache), ...readdirSync(base)].filter((name) => isTemporary(name));
  return [...found, ...allIn(temporary)].map((name) => `left: ${name}`);
}

function isTemporary(name) {
  return /(^|\/)\.tmp-|\.tmp-[0-9a-f]{8}$|kvgen-stage/.test(name);
}

function allIn(dir) {
  return existsSync(dir) ? readdirSync(dir, { recursive: true }).map(String) : [];
}

/** For the next run. */
function clear() {
  rmSync(join(base, OUT), { recursive: true, force: true });
}

/** Kills a run, and runs the same to its end. @returns what is wrong */
async function kill(job, random) {
  const { child, ended } = await startAndWait(job, random);
  child.kill('SIGKILL');
  const result = await ended;
  counts[result.signal === null ? 'at its end' : 'in the middle']++;
  const wrong = [...outputBreaches(job, result, true), ...allIn(temporary).map((name) => `left: ${name}`)];
  clear();
  return job.endless ? wrong : [...wrong, ...(await again(job))];
}

/** An hour later: what was left is removed, and what was saved is right. */
async function again(job) {
  for (const name of [...allIn(cache).map((name) => join('cache', name)), ...readdirSync(base)].filter(isTemporary)) {
    const then = new Date(Date.now() - HOURS_AGO);
    for (const path of [...allIn(join(base, name)).map((inner) => join(base, name, inner)), join(base, name)]) {
      utimesSync(path, then, then);
    }
  }
  const { code, stdout, stderr } = await run([...job.argv, ...(job.caches ?? []), ...(job.caches ? ['--verbose'] : [])])
    .ended;
  const wrong = code === 0 ? job.check(stdout, job.truth, true) : [`the next run: exit code ${code}: ${stderr}`];
  if (/damaged|removed|not what/.test(stderr)) {
    wrong.push(`half a file was found: ${short(stderr)}`);
  }
  clear();
  return [...wrong, ...(job.caches !== undefined || job.name === 'quantize' ? leftovers() : [])];
}

/** @returns the process, and a promise of how it ends */
function run(argv) {
  const child = spawn(process.execPath, [BIN, ...argv], { cwd: base, env, stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.on('error', () => {});
  const texts = [child.stdout, child.stderr].map((stream) => {
    const pieces = [];
    stream.on('data', (piece) => pieces.push(piece));
    return () => Buffer.concat(pieces).toString();
  });
  const ended = once(child, 'close').then(([code, signal]) => {
    const [stdout, stderr] = texts.map((text) => text());
    return { code: code ?? signal, signal, stdout, stderr };
  });
  return { child, ended };
}

/** Without what the machine says of kvgen. */
function cleanEnvironment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(KVGEN|XDG|HF)_/.test(name)));
}
