// The whole forward pass of the Llama family on WebAssembly: tokens and their positions go in; logits come out, and the keys and
// values of the tokens are written into the blocks of their sequences. Every thread runs it at the same time, each on its own
// heads and its own rows of each matrix. Knows nothing of text, sampling, files, or who keeps the blocks.
// The same model on TF.js is tf/llama.ts, with the same names. References: as there.
//
// Shapes: T tokens of any sequences, N wanted ones, C = nEmbd, V = vocabSize; all widths are filled up (see llama-plan.ts).

import { ACTIVATIONS } from '../model/activations.js';
import type { LlamaConfig } from '../model/llama-config.js';
import { type BlockShape, offsets } from './blocks.js';
import type { Kernels, Pointer } from './kernels.js';
import type { Layer, LlamaPlan } from './llama-plan.js';
import { type Linear, multiply, prepare } from './matrix.js';
import type { TurnsScratch } from './rotary-plan.js';
import { ownScores, type SimdModel, type Tokens, weightsOf } from './simd-model.js';
import { meet, type Range, share, type Thread } from './thread.js';
import { embed, logits } from './vocabulary-pass.js';

/** All that one thread needs for one pass. */
interface Run {
  readonly config: LlamaConfig;
  readonly plan: LlamaPlan;
  readonly blocks: BlockShape;
  readonly thread: Thread;
  readonly kernels: Kernels;
  readonly own: TurnsScratch;
  readonly tokens: Tokens;
  // This thread's part of the heads that are made, of those that attend, and of the rows of matrices that have so many.
  readonly ownQueries: Range;
  readonly ownKeys: Range;
  readonly ownValues: Range;
  readonly ownHeads: Range;
  readonly ownC: Range;
  readonly ownInner: Range;
  readonly ownV: Range;
}

/** The logits are in `plan.logits` when every thread has returned. */
export function forward(model: SimdModel<LlamaPlan, LlamaConfig>, thread: Thread, tokens: Tokens): void {
  const run = runOf(model, thread, tokens);
  const { kernels, plan, own, config } = run;
  embed(run, 0); // x: [T, C]
  kernels.rotaryAngles(
    tokens.positions,
    tokens.T,
    plan.inverseFrequencies,
    config.rotary.dimensions / 2,
    own.cosines,
    own.sines,
  );
  for (let i = 0; i < config.nLayer; i++) {
    const layer = plan.layers[i] as Layer;
    attention(run, layer, i); // x: [T, C]
    mlp(run, layer); // x: [T, C]
  }
  lmHead(run); // [N, V]
  meet(thread);
}

function runOf({ config, plan, blocks }: SimdModel<LlamaPlan, LlamaConfig>, thread: Thread, tokens: Tokens): Run {
  const { C, inner, V } = plan.widths;
  const { nHead, nKvHead } = config;
  const made = share(thread, nHead + 2 * nKvHead); // of all heads, first those of queries, then of keys, then of values
  return {
    config,
    plan,
    blocks,
    thread,
    kernels: thread.kernels,
    own: plan.scratch[thread.index] as TurnsScratch,
    tokens,
    ownQueries: within(made, 0, nHead),
    ownKeys: within(made, nHead, nKvHead),
    ownValues: within(made, nHead + nKvHead, nKvHead),
    ownHeads: share(thread, nHead),
    ownC: share(thread, C, 4),
    ownInner: share(thread, inner, 4),
    ownV: share(thread, V, 4),
  };
}

/** Which of `count` things from `first` on are in the range, counted from `first`. */
function within([from, to]: Range, first: number, count: number): Range {
  const clamped = (i: number) => Math.min(Math.max(i - first, 0), count);
  return [clamped(from), clamped(to)];
}

/** Causal self-attention, added to x. Heads that share keys and values may be another thread's, so that all meet in between. */
function attention(run: Run, { input_layernorm, self_attn }: Layer, i: number): void {
  const { plan, kernels, tokens, own, thread } = run;
  const { C, q, kv } = plan.widths;
  const { x, mixed } = plan.buffers;
  const { q_proj, k_proj, v_proj, o_proj, q_norm, k_norm } = self_attn;
  const { T } = tokens;
  rmsNorm(run, input_layernorm, x); // [T, C]
  const normed = prepare(kernels, q_proj, own.normed, T, own);
  const { keys, values } = offsets(run.blocks, i, 0);
  project(run, q_proj, normed, 0, run.ownQueries);
  placed(run, i, q_norm, 0, run.ownQueries);
  project(run, k_proj, normed, q, run.ownKeys);
  placed(run, i, k_norm, q, run.ownKeys);
  store(run, q, run.ownKeys, keys);
  project(run, v_proj, normed, q + kv, run.ownValues);
  store(run, q + kv, run.ownValues, values);
  meet(thread);
  attend(run, i); // mixed: [T, mixed]
  meet(thread);
  multiply(kernels, o_proj, o_proj.bias, prepare(kernels, o_proj, mixed, T, own), T, x, C, run.ownC, 1, own); // [T, C]
  meet(thread);
}

/** Some heads of queries, keys or values, the first of which lies at column `at` of qkv. */
function project({ plan, kernels, tokens, own }: Run, matrix: Linear, normed: Pointer, at: number, heads: Range): void {
  const { headDim, q, kv } = plan.widths;
  const rows: Range = [heads[0] * headDim, heads[1] * headDim];
  multiply(kernels, matrix, matrix.bias, normed, tokens.T, plan.buffers.qkv + 4 * at, q + 2 * kv, rows, 0, own);
}

/** Norms and turns some heads in place, where the model does. */
function placed(run: Run, layer: number, norm: Pointer, at: number, [from, to]: Range): void {
  const { config, plan, kernels, tokens, own } = run;
  const { headDim, q, kv } = plan.widths;
  const first = plan.buffers.qkv + 4 * (at + from * headDim);
  const stride = q + 2 * kv;
  if (norm !== 0) {
    kernels.rmsNormHeads(first, stride, tokens.T, config.headDim, headDim, to - from, norm, config.rmsNormEpsilon);
  }
  if (config.rotates[layer] === true) {
    const half = config.rotary.dimensions / 2;
    kernels.rotateHeads(first, stride, headDim, tokens.T, to - from, half, own.cosines, own.sines);
  }
}

/** Writes some heads of keys or values into the blocks; `offset` is that of the first head of all. */
function store({ plan, blocks, kernels, tokens }: Run, at: number, [from, to]: Range, offset: number): void {
  const { headDim, q, kv } = plan.widths;
  const { T, tables, positions } = tokens;
  const P = blocks.positions;
  const toOwn = 4 * from * headDim;
  const source = plan.buffers.qkv + 4 * at + toOwn;
  kernels.storeHeads(source, q + 2 * kv, headDim, T, tables, positions, offset + P * toOwn, P, headDim, to - from);
}

/** Mixes the values that each token may see: the past and up to itself. */
function attend({ config, plan, blocks, kernels, tokens, thread, ownHeads: [from, to] }: Run, i: number): void {
  const { nHead, nKvHead, windows } = config;
  const { T, tables, positions } = tokens;
  const { headDim, q, kv, mixed } = plan.widths;
  const { keys, values } = offsets(blocks, i, 0);
  const P = blocks.positions;
  const group = nHead / nKvHead;
  const scale = 1 / Math.sqrt(config.headDim);
  const scores = ownScores(thread, tokens);
  // biome-ignore format: the tokens, the blocks, the heads, the result
  kernels.attendHeads(plan.buffers.qkv, q + 2 * kv, headDim, T, tables, positions, keys, values, P, headDim, from, to, group, scale, windows[i] as number, scores, plan.buffers.mixed, mixed, weightsOf(tokens, config, i), tokens.columns);
}

/** SwiGLU: down(act(gate(x)) · up(x)), added to x. */
function mlp(run: Run, { post_attention_layernorm, mlp: { gate_proj, up_proj, down_proj } }: Layer): void {
  const { config, plan, kernels, tokens, own, thread } = run;
  const { C, inner } = plan.widths;
  const { x, gate, up } = plan.buffers;
  const { T } = tokens;
  const [from, to] = run.ownInner;
  rmsNorm(run, post_attention_layernorm, x); // [T, C]
  const normed = prepare(kernels, gate_proj, own.normed, T, own);
  multiply(kernels, gate_proj, gate_proj.bias, normed, T, gate, inner, run.ownInner, 0, own); // [T, inner]
  multiply(kernels, up_proj, up_proj.bias, normed, T, up, inner, run.ownInner, 0, own); // [T, inner]
  kernels.activateGate(ACTIVATIONS.indexOf(config.activation), gate, up, inner, from, to, T);
  meet(thread);
  multiply(kernels, down_proj, down_proj.bias, prepare(kernels, down_proj, gate, T, own), T, x, C, run.ownC, 1, own); // [T, C]
  meet(thread);
}

function lmHead(run: Run): void {
  const { config, plan, kernels } = run;
  const { nEmbd, rmsNormEpsilon } = config;
  logits(run, (x, y) => kernels.rmsNorm(x, nEmbd, plan.widths.C, 1, plan.norm, rmsNormEpsilon, y)); // [N, V]
}

function rmsNorm({ config, plan, kernels, tokens, own }: Run, weight: Pointer, x: Pointer): void {
  const { nEmbd, rmsNormEpsilon } = config;
  kernels.rmsNorm(x, nEmbd, plan.widths.C, tokens.T, weight, rmsNormEpsilon, own.normed); // [T, C]
}
