// onnxruntime-node, float32 and int8: what people run language models with in Node. The cache stays in its tensors.
//
//     node onnxruntime_bench.mjs DIR_OF_EXPORT [threads] [--sizes 124M,stories] [--kinds int8]

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const require = createRequire(join(process.cwd(), 'package.json')); // installed where the command is run
const ort = require('onnxruntime-node');
const POINTS = JSON.parse(readFileSync(new URL('sizes.json', import.meta.url), 'utf8'));
const GEN_TOKENS = 32;
const REPEAT = 3;
const { version } = require('onnxruntime-node/package.json');

const list = (values) => ({ type: 'string', default: values.join() });
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { sizes: list(Object.keys(POINTS)), kinds: list(['F32', 'int8']) },
});
const [dir = '.', threads = String(availableParallelism())] = positionals;

function emptyCache({ n_layer: layers, n_head: heads, n_embd: channels }) {
  const names = Array.from({ length: layers }, (_, i) => [`past.${i}.key`, `past.${i}.value`]).flat();
  const none = () => new ort.Tensor('float32', new Float32Array(0), [1, heads, 0, channels / heads]);
  return Object.fromEntries(names.map((name) => [name, none()]));
}

function causalMask(tokens, past) {
  const width = past + tokens;
  const mask = new Float32Array(tokens * width);
  for (let row = 0; row < tokens; row++) {
    mask.fill(-1e9, row * width + past + row + 1, (row + 1) * width);
  }
  return new ort.Tensor('float32', mask, [tokens, width]);
}

function integers(values) {
  return new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
}

/** Runs ids behind a cache; gives the logits, read out, and the cache with them in it. */
async function forward(session, ids, cache, past) {
  const positions = ids.map((_, i) => past + i);
  const feeds = { ids: integers(ids), positions: integers(positions), mask: causalMask(ids.length, past), ...cache };
  const { logits, ...presents } = await session.run(feeds);
  const next = Object.entries(presents).map(([name, tensor]) => [name.replace('present', 'past'), tensor]);
  return { logits: logits.data, cache: Object.fromEntries(next) };
}

async function prefill(session, config, ids) {
  const start = performance.now();
  await forward(session, ids, emptyCache(config), 0);
  return performance.now() - start;
}

async function decode(session, config, ids, depth) {
  let { cache } = await forward(session, ids.slice(0, depth), emptyCache(config), 0);
  const start = performance.now();
  for (let i = depth; i < depth + GEN_TOKENS; i++) {
    ({ cache } = await forward(session, [ids[i]], cache, i));
  }
  return performance.now() - start;
}

async function report(peer, size, name, depth, tokens, run) {
  await run();
  const tps = [];
  for (let i = 0; i < REPEAT; i++) {
    tps.push((1000 * tokens) / (await run()));
  }
  tps.sort((a, b) => a - b);
  const median = tps[REPEAT >> 1];
  const round = (x) => Math.round(x * 1000) / 1000;
  const line = { peer, size, name, depth, tokens, threads: Number(threads) };
  const numbers = { tps_median: round(median), tps_max: round(tps.at(-1)), ms_per_token: round(1000 / median) };
  console.log(JSON.stringify({ ...line, ...numbers }));
}

async function measure(size, kind) {
  const { config, depths, prompt_tokens: prompt } = POINTS[size];
  const path = join(dir, `${size}-${kind}.onnx`);
  const session = await ort.InferenceSession.create(path, { intraOpNumThreads: Number(threads) });
  const peer = `onnxruntime-node ${version} ${kind}`;
  const ids = Array.from({ length: config.n_positions }, (_, i) => (i * 7919) % config.vocab_size);
  for (const depth of depths) {
    await report(peer, size, `tg${GEN_TOKENS}`, depth, GEN_TOKENS, () => decode(session, config, ids, depth));
  }
  await report(peer, size, `pp${prompt}`, 0, prompt, () => prefill(session, config, ids.slice(0, prompt)));
  await session.release();
}

for (const size of values.sizes.split(',')) {
  for (const kind of values.kinds.split(',')) {
    await measure(size, kind);
  }
}
