// onnxruntime-node, float32: what people run language models with in Node. The cache stays in its tensors.
//
//     node onnxruntime_bench.mjs DIR_OF_EXPORT [threads]

import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

const require = createRequire(join(process.cwd(), 'package.json')); // installed where the command is run
const ort = require('onnxruntime-node');
const [dir = '.', threads = String(availableParallelism())] = process.argv.slice(2);
const SIZES = {
  '124M': { layers: 12, heads: 12, headDim: 64, vocabulary: 50257 },
  '6x256': { layers: 6, heads: 8, headDim: 32, vocabulary: 4096 },
};
const POSITIONS = 1024;
const PROMPT_TOKENS = 512;
const GEN_TOKENS = 32;
const REPEAT = 3;
const { version } = require('onnxruntime-node/package.json');

function emptyCache({ layers, heads, headDim }) {
  const names = Array.from({ length: layers }, (_, i) => [`past.${i}.key`, `past.${i}.value`]).flat();
  const none = () => new ort.Tensor('float32', new Float32Array(0), [1, heads, 0, headDim]);
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

async function prefill(session, size, ids) {
  const start = performance.now();
  await forward(session, ids, emptyCache(size), 0);
  return performance.now() - start;
}

async function decode(session, size, ids, depth) {
  let { cache } = await forward(session, ids.slice(0, depth), emptyCache(size), 0);
  const start = performance.now();
  for (let i = depth; i < depth + GEN_TOKENS; i++) {
    ({ cache } = await forward(session, [ids[i]], cache, i));
  }
  return performance.now() - start;
}

async function report(size, name, depth, tokens, run) {
  await run();
  const tps = [];
  for (let i = 0; i < REPEAT; i++) {
    tps.push((1000 * tokens) / (await run()));
  }
  tps.sort((a, b) => a - b);
  const median = tps[REPEAT >> 1];
  const round = (x) => Math.round(x * 1000) / 1000;
  const line = { peer: `onnxruntime-node ${version}`, size, name, depth, tokens, threads: Number(threads) };
  const numbers = { tps_median: round(median), tps_max: round(tps.at(-1)), ms_per_token: round(1000 / median) };
  console.log(JSON.stringify({ ...line, ...numbers }));
}

for (const [name, size] of Object.entries(SIZES)) {
  const session = await ort.InferenceSession.create(join(dir, `${name}.onnx`), { intraOpNumThreads: Number(threads) });
  const ids = Array.from({ length: POSITIONS }, (_, i) => (i * 7919) % size.vocabulary);
  for (const depth of [32, 512]) {
    await report(name, `tg${GEN_TOKENS}`, depth, GEN_TOKENS, () => decode(session, size, ids, depth));
  }
  const prompt = ids.slice(0, PROMPT_TOKENS);
  await report(name, `pp${PROMPT_TOKENS}`, 0, PROMPT_TOKENS, () => prefill(session, size, prompt));
  await session.release();
}
