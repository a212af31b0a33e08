// The whole forward pass of GPT-2 on WebAssembly: tokens and their positions go in; logits come out, and the keys and values of
// the tokens are written into the blocks of their sequences. Every thread runs it at the same time, each on its own
// heads and its own rows of each matrix. Knows nothing of text, sampling, files, or who keeps the blocks.
// The same model on TF.js is tf/gpt2.ts, with the same names. References: as there.
//
// Shapes: T tokens of any sequences, N wanted ones, C = nEmbd, V = vocabSize; all widths are filled up (see gpt2-plan.ts).

import { ACTIVATIONS } from '../model/activations.js';
import { type Gpt2Config, scoreScale } from '../model/gpt2-config.js';
import { type BlockShape, offsets } from './blocks.js';
import type { Block, Gpt2Plan } from './gpt2-plan.js';
import type { Kernels, Pointer } from './kernels.js';
import { multiply, prepare, type Scratch } from './matrix.js';
import type { Norm } from './places.js';
import { ownScores, type SimdModel, type Tokens, weightsOf } from './simd-model.js';
import { meet, type Range, share, type Thread } from './thread.js';
import { embed, logits } from './vocabulary-pass.js';

/** All that one thread needs for one pass. */
interface Run {
  readonly config: Gpt2Config;
  readonly plan: Gpt2Plan;
  readonly blocks: BlockShape;
  readonly thread: Thread;
  readonly kernels: Kernels;
  readonly own: Scratch;
  readonly tokens: Tokens;
  // This thread's part of the heads, and of the rows of matrices that have so many.
  readonly ownHeads: Range;
  readonly ownC: Range;
  readonly ownInner: Range;
  readonly ownV: Range;
}

/** The logits are in `plan.logits` when every thread has returned. */
export function forward(model: SimdModel<Gpt2Plan, Gpt2Config>, thread: Thread, tokens: Tokens): void {
  const run = runOf(model, thread, tokens);
  embed(run, model.plan.wpe); // x: [T, C]
  for (let layer = 0; layer < model.config.nLayer; layer++) {
    const block = model.plan.h[layer] as Block;
    attention(run, block, layer); // x: [T, C]
    mlp(run, block); // x: [T, C]
  }
  lmHead(run); // [N, V]
  meet(thread);
}

function runOf({ config, plan, blocks }: SimdModel<Gpt2Plan, Gpt2Config>, thread: Thread, tokens: Tokens): Run {
  const { C, inner, V } = plan.widths;
  return {
    config,
    plan,
    blocks,
    thread,
    kernels: thread.kernels,
    own: plan.scratch[thread.index] as Scratch,
    tokens,
    ownHeads: share(thread, config.nHead),
    ownC: share(thread, C, 4),
    ownInner: share(thread, inner, 4),
    ownV: share(thread, V, 4),
  };
}

/** Causal multi-head self-attention, added to x. A head's queries, keys and values are made by the thread that uses them. */
function attention(run: Run, { ln_1, attn }: Block, layer: number): void {
  const { plan, kernels, tokens, own, thread } = run;
  const { heads, headDim, C } = plan.widths;
  const { x, qkv, mixed } = plan.buffers;
  const { c_attn, c_proj } = attn;
  const { T } = tokens;
  const [from, to] = run.ownHeads;
  layerNorm(run, ln_1, x, own.normed); // [T, C]
  const normed = prepare(kernels, c_attn, own.normed, T, own);
  for (let part = 0; part < 3 * heads; part += heads) {
    const columns: Range = [part + from * headDim, part + to * headDim];
    multiply(kernels, c_attn, c_attn.bias, normed, T, qkv, 3 * heads, columns, 0, own); // [T, 3 · heads]
  }
  attend(run, layer, from, to); // mixed: [T, mixed]
  meet(thread);
  multiply(kernels, c_proj, c_proj.bias, prepare(kernels, c_proj, mixed, T, own), T, x, C, run.ownC, 1, own); // [T, C]
  meet(thread);
}

/** Stores the new keys and values of some heads, and mixes the values that each token may see: the past and up to itself. */
function attend({ config, plan, blocks, kernels, tokens, thread }: Run, layer: number, from: number, to: number): void {
  const { T, tables, positions } = tokens;
  const { heads, headDim, mixed } = plan.widths;
  const { keys, values } = offsets(blocks, layer, 0);
  const P = blocks.positions;
  const { qkv } = plan.buffers;
  const toOwn = 4 * from * headDim;
  for (const [part, offset] of [keys, values].entries()) {
    const source = qkv + 4 * (part + 1) * heads + toOwn;
    kernels.storeHeads(source, 3 * heads, headDim, T, tables, positions, offset + P * toOwn, P, headDim, to - from);
  }
  // biome-ignore format: the tokens, the blocks, the heads, the result
  kernels.attendHeads(qkv, 3 * heads, headDim, T, tables, positions, keys, values, P, headDim, from, to, 1, scoreScale(config, layer), config.windows?.[layer] ?? 0, ownScores(thread, tokens), plan.buffers.mixed, mixed, weightsOf(tokens, config, layer), tokens.columns);
}

function mlp(run: Run, { ln_2, mlp: { c_fc, c_proj } }: Block): void {
  const { config, plan, kernels, tokens, own, thread } = run;
  const { C, inner: width } = plan.widths;
  const { x, inner } = plan.buffers;
  const { T } = tokens;
  const [from, to] = run.ownInner;
  layerNorm(run, ln_2, x, own.normed); // [T, C]
  const normed = prepare(kernels, c_fc, own.normed, T, own);
  multiply(kernels, c_fc, c_fc.bias, normed, T, inner, width, run.ownInner, 0, own); // [T, inner]
  kernels.activate(ACTIVATIONS.indexOf(config.activation), inner, width, from, to, T);
  meet(thread);
  multiply(kernels, c_proj, c_proj.bias, prepare(kernels, c_proj, inner, T, own), T, x, C, run.ownC, 1, own); // [T, C]
  meet(thread);
}

function lmHead(run: Run): void {
  const { config, plan, kernels } = run;
  const { weight, bias } = plan.ln_f;
  const { nEmbd, layerNormEpsilon } = config;
  logits(run, (x, y) => kernels.layerNorm(x, nEmbd, plan.widths.C, 1, weight, bias, layerNormEpsilon, y)); // [N, V]
}

function layerNorm({ config, plan, kernels, tokens }: Run, { weight, bias }: Norm, x: Pointer, y: Pointer): void {
  const { nEmbd, layerNormEpsilon } = config;
  kernels.layerNorm(x, nEmbd, plan.widths.C, tokens.T, weight, bias, layerNormEpsilon, y); // [T, C]
}
