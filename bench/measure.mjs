// Measures the tables of docs/performance.md and prints them as Markdown. Every setting runs in a process of its
// own, one after the other in each round, so that a busy minute hits all alike. Best run with nothing else running.
//
//     node bench/measure.mjs [rounds]        (needs `npm run build`; about two minutes a round)

import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';

const ROUNDS = Number(process.argv[2] ?? 3);
const BIN = fileURLToPath(new URL('../bin/kvgen.js', import.meta.url));
const BANDWIDTH = fileURLToPath(new URL('bandwidth.mjs', import.meta.url));
const STARTUP = fileURLToPath(new URL('startup.mjs', import.meta.url));
const CORES = availableParallelism();

const MODELS = [
  { model: 'random:124M', bytes: 4 * 124_439_808, depths: [32, 900], prompt: 512 },
  { model: 'stories', bytes: 4 * 3_573_504, depths: [32, 448], prompt: 448 },
];

/** On TensorFlow: op by op or one graph; one thread or all; products split or not; oneDNN's kernels or TensorFlow's own. */
const NODE_SETTINGS = [
  { name: 'eager, 1 thread', args: ['--engine', 'eager', '--threads', '1'] },
  { name: 'eager, all threads', args: ['--engine', 'eager'], env: { TF_NUM_INTRAOP_THREADS: CORES } },
  { name: 'graph, 1 thread', args: ['--threads', '1'] },
  {
    name: 'graph, unsplit, threads within an op',
    args: ['--threads', '1'],
    env: { TF_NUM_INTRAOP_THREADS: CORES, TF_NUM_INTEROP_THREADS: CORES },
  },
  { name: 'graph, unsplit, threads over ops', args: ['--threads', '1'], env: { TF_NUM_INTEROP_THREADS: CORES } },
  { name: 'graph, split', args: ['--threads', String(CORES)] },
  { name: 'graph, split, oneDNN off', args: ['--threads', String(CORES)], env: { TF_ENABLE_ONEDNN_OPTS: 0 } },
];

/** On WebAssembly: float32 or a quarter of the bytes; one thread or all. */
const SIMD_SETTINGS = [
  { name: 'float32', share: 1 },
  { name: 'int8', share: 1 / 4 },
].flatMap(({ name, share }) =>
  [1, CORES].map((threads) => ({
    name: `simd, ${name}, ${threads} thread${threads === 1 ? '' : 's'}`,
    args: ['--backend', 'simd', '--weights', name, '--threads', String(threads)],
    share,
  })),
);

/** `share`: how many of the float32 weights' bytes a step reads. */
const SETTINGS = [
  ...NODE_SETTINGS.map((setting) => ({ ...setting, args: ['--backend', 'node', ...setting.args], share: 1 })),
  ...SIMD_SETTINGS,
];

function run(script, args, env = {}) {
  const text = Object.fromEntries(Object.entries(env).map(([name, value]) => [name, String(value)]));
  const options = { encoding: 'utf8', env: { ...process.env, ...text }, stdio: ['ignore', 'pipe', 'ignore'] };
  return JSON.parse(execFileSync(process.execPath, [script, ...args], options));
}

function bench({ model, depths, prompt }, { args, env }) {
  const points = ['--prompt-tokens', prompt, '--depth', depths.join(), '--gen-tokens', 32, '--cached-only'].map(String);
  const { results } = run(BIN, ['bench', '-m', model, ...points, '--repeat', '2', '--format', 'json', ...args], env);
  const ms = (name, depth) => results.find((r) => r.name === name && r.depth === depth).ms_per_token;
  return { prefill: 1000 / ms(`pp${prompt}`, 0), decode: depths.map((depth) => ms('tg32', depth)) };
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

function row(cells) {
  console.log(`| ${cells.join(' | ')} |`);
}

/** Median, and the best in brackets: other work on the machine only ever adds time. */
function milliseconds(values) {
  const digits = median(values) < 10 ? 2 : 1;
  return `${median(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)})`;
}

function settingsTable(model) {
  const times = SETTINGS.map(() => []);
  const bandwidth = [];
  for (let round = 0; round < ROUNDS; round++) {
    bandwidth.push(run(BANDWIDTH, []).gb_per_s_best);
    for (const [i, setting] of SETTINGS.entries()) {
      process.stderr.write(`${model.model}, round ${round + 1}/${ROUNDS}: ${setting.name}\n`);
      times[i].push(bench(model, setting));
    }
  }
  const floor = model.bytes / median(bandwidth) / 1e6;
  console.log(`\n### ${model.model}\n`);
  console.log(
    `Memory: ${median(bandwidth).toFixed(1)} GB/s, so reading the weights once takes ${floor.toFixed(2)} ms.\n`,
  );
  const [near, far] = model.depths;
  row(['setting', `ms/token at ${near}`, `ms/token at ${far}`, `prefill of ${model.prompt}, tok/s`, 'of the floor']);
  row(['---', '---:', '---:', '---:', '---:']);
  for (const [i, { name, share }] of SETTINGS.entries()) {
    const decode = [0, 1].map((j) => times[i].map((time) => time.decode[j]));
    const prefill = times[i].map((time) => time.prefill);
    const best = `${median(prefill).toFixed(0)} (${Math.max(...prefill).toFixed(0)})`;
    row([name, ...decode.map(milliseconds), best, ((share * floor) / Math.min(...decode[0])).toFixed(2)]);
  }
}

function uncachedTable(backend) {
  console.log(`\n### With and without the cache on ${backend}\n`);
  row(['model', 'depth', 'cached, ms/token', 'uncached, ms/token', 'times']);
  row(['---', '---:', '---:', '---:', '---:']);
  for (const { model, depths } of [
    { model: 'random:124M', depths: '0,256,512,768' },
    { model: 'stories', depths: '0,128,256,448' },
  ]) {
    const args = ['-m', model, '--backend', backend, '--depth', depths, '--prompt-tokens', '0', '--format', 'json'];
    const { results } = run(BIN, ['bench', ...args]);
    for (const { depth, ms_per_token } of results.filter(({ cache }) => cache)) {
      const uncached = results.find((result) => result.depth === depth && !result.cache).ms_per_token;
      const cells = [ms_per_token, uncached, uncached / ms_per_token].map((x) => x.toFixed(x < 10 ? 2 : 1));
      row([model, depth, ...cells]);
    }
  }
}

function profileTable(backend) {
  console.log(`\n### Parts of a step on ${backend}\n`);
  row(['model', 'depth', 'feed', 'graph', 'read', 'sample', 'text']);
  row(['---', '---:', '---:', '---:', '---:', '---:', '---:']);
  for (const { model, depths } of MODELS) {
    const point = ['--depth', depths.join(), '--prompt-tokens', '0', '--cached-only', '--profile'];
    const args = ['-m', model, '--backend', backend, ...point];
    for (const { depth, profile } of run(BIN, ['bench', ...args, '--format', 'json']).results) {
      row([model, depth, ...Object.values(profile).map((ms) => ms?.toFixed(2) ?? '')]);
    }
  }
}

function startupTable() {
  const { library, node, simd } = run(STARTUP, [String(5 * ROUNDS)]);
  console.log('\n### Start-up of `stories`\n');
  row(['until', 'median, ms', 'best, ms']);
  row(['---', '---:', '---:']);
  row(["require('@tensorflow/tfjs-node') alone", library.median_ms, library.best_ms]);
  row(['the first token on node', node.median_ms, node.best_ms]);
  row(['the first token on simd', simd.median_ms, simd.best_ms]);
}

const [cpu] = cpus();
console.log(`${cpu.model.trim()}, ${CORES} cores, ${(totalmem() / 2 ** 30).toFixed(0)} GB, Node ${process.version}`);
console.log(`${ROUNDS} rounds, medians (best in brackets)`);
startupTable();
MODELS.forEach(settingsTable);
for (const backend of ['node', 'simd']) {
  uncachedTable(backend);
  profileTable(backend);
}
