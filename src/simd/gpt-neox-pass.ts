// The whole forward pass of GPT-NeoX on WebAssembly: tokens and their positions go in; logits come out, and the keys and values of
// the tokens are written into the blocks of their sequences. Every thread runs it at the same time, each on its own
// heads and its own rows of each matrix. Knows nothing of text, sampling, files, or who keeps the blocks.
// The same model on TF.js is tf/gpt-neox.ts, with the same names. References: as there.
//
// Shapes: T tokens of any sequences, N wanted ones, C = nEmbd, V = vocabSize; all widths are filled up (see gpt-neox-plan.ts).

import { ACTIVATIONS } from '../model/activations.js';
import type { GptNeoxConfig } from '../model/gpt-neox-config.js';
import { type BlockShape, offsets } from './blocks.js';
import type { GptNeoxPlan, Layer } from './gpt-neox-plan.js';
import type { Kernels } from './kernels.js';
import { multiply, prepare } from './matrix.js';
import type { Norm } from './places.js';
import type { TurnsScratch } from './rotary-plan.js';
import { ownScores, type SimdModel, type Tokens, weightsOf } from './simd-model.js';
import { meet, type Range, share, type Thread } from './thread.js';
import { embed, logits } from './vocabulary-pass.js';

/** All that one thread needs for one pass. */
interface Run {
  readonly config: GptNeoxConfig;
  readonly plan: GptNeoxPlan;
  readonly blocks: BlockShape;
  readonly thread: Thread;
  readonly kernels: Kernels;
  readonly own: TurnsScratch;
  readonly tokens: Tokens;
  // This thread's part of the heads, and of the rows of matrices that have so many.
  readonly ownHeads: Range;
  readonly ownC: Range;
  readonly ownInner: Range;
  readonly ownV: Range;
}

/** The logits are in `plan.logits` when every thread has returned. */
export function forward(model: SimdModel<GptNeoxPlan, GptNeoxConfig>, thread: Thread, tokens: Tokens): void {
  const run = runOf(model, thread, tokens);
  const { kernels, plan, own, config } = run;
  const half = config.rotary.dimensions / 2;
  embed(run, 0); // x: [T, C]
  kernels.rotaryAngles(tokens.positions, tokens.T, plan.inverseFrequencies, half, own.cosines, own.sines);
  for (let i = 0; i < config.nLayer; i++) {
    const layer = plan.layers[i] as Layer;
    attend(run, layer, i); // mixed: [T, mixed]
    if (config.isParallel) {
      widen(run, layer); // inner: [T, inner], of the x that attention has read
      meet(thread);
      addAttention(run, layer); // x: [T, C]
    } else {
      meet(thread);
      addAttention(run, layer);
      meet(thread);
      widen(run, layer);
      meet(thread);
    }
    addMlp(run, layer); // x: [T, C]
    meet(thread);
  }
  lmHead(run); // [N, V]
  meet(thread);
}

function runOf({ config, plan, blocks }: SimdModel<GptNeoxPlan, GptNeoxConfig>, thread: Thread, tokens: Tokens): Run {
  const { C, inner, V } = plan.widths;
  return {
    config,
    plan,
    blocks,
    thread,
    kernels: thread.kernels,
    own: plan.scratch[thread.index] as TurnsScratch,
    tokens,
    ownHeads: share(thread, config.nHead),
    ownC: share(thread, C, 4),
    ownInner: share(thread, inner, 4),
    ownV: share(thread, V, 4),
  };
}

/** Causal multi-head self-attention. A head's query, key and value, side by side, are made by the thread that uses them. */
function attend(run: Run, { input_layernorm, attention: { query_key_value } }: Layer, i: number): void {
  const { config, plan, blocks, kernels, tokens, own, thread } = run;
  const { heads, headDim, mixed } = plan.widths;
  const { qkv } = plan.buffers;
  const { T, tables, positions } = tokens;
  const [from, to] = run.ownHeads;
  const [stride, step] = [3 * heads, 3 * headDim];
  const P = blocks.positions;
  layerNorm(run, input_layernorm); // [T, C]
  const normed = prepare(kernels, query_key_value, own.normed, T, own);
  const columns: Range = [from * step, to * step];
  multiply(kernels, query_key_value, query_key_value.bias, normed, T, qkv, stride, columns, 0, own); // [T, 3 · heads]
  const first = qkv + 4 * from * step;
  const half = config.rotary.dimensions / 2;
  for (const part of [0, 1]) {
    kernels.rotateHeads(first + 4 * part * headDim, stride, step, T, to - from, half, own.cosines, own.sines);
  }
  const { keys, values } = offsets(blocks, i, 0);
  for (const [part, offset] of [keys, values].entries()) {
    const place = offset + 4 * from * P * headDim;
    const source = first + 4 * (part + 1) * headDim;
    kernels.storeHeads(source, stride, step, T, tables, positions, place, P, headDim, to - from);
  }
  const scale = 1 / Math.sqrt(config.headDim);
  // biome-ignore format: the tokens, the blocks, the heads, the result
  kernels.attendHeads(qkv, stride, step, T, tables, positions, keys, values, P, headDim, from, to, 1, scale, 0, ownScores(thread, tokens), plan.buffers.mixed, mixed, weightsOf(tokens, config, i), tokens.columns);
}

function addAttention({ plan, kernels, tokens: { T }, own, ownC }: Run, { attention: { dense } }: Layer): void {
  const { x, mixed } = plan.buffers;
  const prepared = prepare(kernels, dense, mixed, T, own);
  multiply(kernels, dense, dense.bias, prepared, T, x, plan.widths.C, ownC, 1, own); // [T, C]
}

/** The hidden layer of the MLP. */
function widen(run: Run, { post_attention_layernorm, mlp: { dense_h_to_4h } }: Layer): void {
  const { config, plan, kernels, tokens, own, ownInner } = run;
  const { inner: width } = plan.widths;
  const { inner } = plan.buffers;
  const { T } = tokens;
  layerNorm(run, post_attention_layernorm); // [T, C]
  const normed = prepare(kernels, dense_h_to_4h, own.normed, T, own);
  multiply(kernels, dense_h_to_4h, dense_h_to_4h.bias, normed, T, inner, width, ownInner, 0, own); // [T, inner]
  kernels.activate(ACTIVATIONS.indexOf(config.activation), inner, width, ownInner[0], ownInner[1], T);
}

function addMlp({ plan, kernels, tokens: { T }, own, ownC }: Run, { mlp: { dense_4h_to_h } }: Layer): void {
  const { x, inner } = plan.buffers;
  const prepared = prepare(kernels, dense_4h_to_h, inner, T, own);
  multiply(kernels, dense_4h_to_h, dense_4h_to_h.bias, prepared, T, x, plan.widths.C, ownC, 1, own); // [T, C]
}

function lmHead(run: Run): void {
  const { config, plan, kernels } = run;
  const { weight, bias } = plan.final_layer_norm;
  const { nEmbd, layerNormEpsilon } = config;
  logits(run, (x, y) => kernels.layerNorm(x, nEmbd, plan.widths.C, 1, weight, bias, layerNormEpsilon, y)); // [N, V]
}

function layerNorm({ config, plan, kernels, tokens, own }: Run, { weight, bias }: Norm): void {
  const { nEmbd, layerNormEpsilon } = config;
  const { x } = plan.buffers;
  kernels.layerNorm(x, nEmbd, plan.widths.C, tokens.T, weight, bias, layerNormEpsilon, own.normed); // [T, C]
}
