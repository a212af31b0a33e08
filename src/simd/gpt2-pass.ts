// The whole forward pass of GPT-2 on WebAssembly: tokens and their positions go in; logits come out, and the keys and values of
// the tokens are written into the blocks of their sequences. Every thread runs it at the same time, each on its own
// heads and its own rows of each matrix. Knows nothing of text, sampling, files, or who keeps the blocks.
// The same model on TF.js is tf/gpt2.ts, with the same names. References: as there.
//
// Shapes: T tokens of any sequences, N wanted ones, C = nEmbd, V = vocabSize; all widths are filled up (see gpt2-plan.ts).

import { ACTIVATIONS, type Gpt2Config, scoreScale } from '../model/gpt2-config.js';
import { offsets } from './blocks.js';
import type { Block, Gpt2Plan, Linear, Norm } from './gpt2-plan.js';
import type { Pointer } from './kernels.js';
import { multiply, prepare, type Scratch, type Target } from './matrix.js';
import type { SimdModel, Tokens } from './simd-model.js';
import { meet, share, type Thread } from './thread.js';

/** All that one thread needs for one pass. */
interface Run extends SimdModel<Gpt2Plan, Gpt2Config> {
  readonly thread: Thread;
  readonly tokens: Tokens;
  readonly own: Scratch;
}

/** The logits are in `plan.logits` when every thread has returned. */
export function forward(model: SimdModel<Gpt2Plan, Gpt2Config>, thread: Thread, tokens: Tokens): void {
  const run: Run = { ...model, thread, tokens, own: model.plan.scratch[thread.index] as Scratch };
  const { plan } = model;
  embed(run); // x: [T, C]
  for (const [layer, block] of plan.h.entries()) {
    attention(run, block, layer); // x: [T, C]
    mlp(run, block); // x: [T, C]
  }
  logits(run); // [N, V]
  meet(thread);
}

/** Each thread writes all of x, the same numbers as the others, so that none has to wait for another. */
function embed({ thread: { kernels }, plan, tokens }: Run): void {
  const { wte, wpe, widths, buffers } = plan;
  const { ids, positions, T } = tokens;
  if (wte.scales === 0) {
    kernels.embedFloat32(ids, positions, T, wte.at, wpe, widths.C, buffers.x); // [T, C]
  } else {
    kernels.embedInt8(ids, positions, T, wte.at, wte.scales, wpe, widths.C, buffers.x); // [T, C]
  }
}

/** Causal multi-head self-attention, added to x. A head's queries, keys and values are made by the thread that uses them. */
function attention(run: Run, { ln_1, attn }: Block, layer: number): void {
  const { config, plan, thread, own } = run;
  const { heads, headDim, C } = plan.widths;
  const { x, qkv, mixed } = plan.buffers;
  const [firstHead, endHead] = share(thread, config.nHead);
  layerNorm(run, ln_1, x, own.normed); // [T, C]
  const ownColumns = [0, heads, 2 * heads].map((part) => ({
    from: part + firstHead * headDim,
    to: part + endHead * headDim,
  }));
  linear(run, attn.c_attn, own.normed, { y: qkv, stride: 3 * heads, add: false }, ownColumns); // [T, 3 · heads]
  for (let head = firstHead; head < endHead; head++) {
    attend(run, layer, head); // [T, mixed]
  }
  meet(thread);
  linear(run, attn.c_proj, mixed, { y: x, stride: C, add: true }, [rowsOf(thread, C)]); // [T, C]
  meet(thread);
}

/** Stores the new keys and values of one head, and mixes the values that each token may see: the past and up to itself. */
function attend({ config, plan, blocks, thread: { kernels }, tokens, own }: Run, layer: number, head: number): void {
  const { T, tables, positions } = tokens;
  const { heads, headDim, mixed } = plan.widths;
  const { keys, values } = offsets(blocks, layer, head);
  const P = blocks.positions;
  const q = plan.buffers.qkv + 4 * head * headDim;
  const k = q + 4 * heads;
  kernels.storeKeysAndValues(k, 4 * heads, 3 * heads, T, tables, positions, keys, values, P, headDim);
  const scale = scoreScale(config, layer);
  const result = plan.buffers.mixed + 4 * head * headDim;
  kernels.attend(q, 3 * heads, T, tables, positions, keys, values, P, headDim, scale, own.scores, result, mixed); // [T, mixed]
}

function mlp(run: Run, { ln_2, mlp: { c_fc, c_proj } }: Block): void {
  const { config, plan, thread, tokens, own } = run;
  const { C, inner: width } = plan.widths;
  const { x, inner } = plan.buffers;
  layerNorm(run, ln_2, x, own.normed); // [T, C]
  const columns = rowsOf(thread, width);
  linear(run, c_fc, own.normed, { y: inner, stride: width, add: false }, [columns]); // [T, inner]
  const kind = ACTIVATIONS.indexOf(config.activation);
  thread.kernels.activate(kind, inner, width, columns.from, columns.to, tokens.T);
  meet(thread);
  linear(run, c_proj, inner, { y: x, stride: C, add: true }, [rowsOf(thread, C)]); // [T, C]
  meet(thread);
}

/** Only the wanted tokens are multiplied by the vocabulary matrix, the largest of all. */
function logits({ config, plan, thread, tokens, own }: Run): void {
  const { kernels } = thread;
  const { lm_head, wanted } = tokens;
  const { C, V } = plan.widths;
  const { weight, bias } = plan.ln_f;
  for (const [n, token] of wanted.entries()) {
    const x = plan.buffers.x + 4 * C * token;
    kernels.layerNorm(x, config.nEmbd, C, 1, weight, bias, config.layerNormEpsilon, own.normed + 4 * C * n); // [N, C]
  }
  const N = wanted.length;
  const normed = prepare(kernels, lm_head, own.normed, N, own);
  const target = { y: plan.logits, stride: V, add: false, ...rowsOf(thread, V) };
  multiply(kernels, lm_head, 0, normed, N, target, own); // [N, V]
}

/** The columns of the result that `ranges` name: x · matrix + bias. */
function linear(
  { thread: { kernels }, tokens: { T }, own }: Run,
  matrix: Linear,
  x: Pointer,
  target: Omit<Target, 'from' | 'to'>,
  ranges: readonly Pick<Target, 'from' | 'to'>[],
): void {
  const prepared = prepare(kernels, matrix, x, T, own);
  for (const range of ranges) {
    multiply(kernels, matrix, matrix.bias, prepared, T, { ...target, ...range }, own);
  }
}

function layerNorm(
  { config, plan, thread: { kernels }, tokens: { T } }: Run,
  norm: Norm,
  x: Pointer,
  y: Pointer,
): void {
  const { nEmbd, layerNormEpsilon } = config;
  kernels.layerNorm(x, nEmbd, plan.widths.C, T, norm.weight, norm.bias, layerNormEpsilon, y); // [T, C]
}

/** The rows of a matrix that are this thread's own, four at a time. */
function rowsOf(thread: Thread, rows: number): Pick<Target, 'from' | 'to'> {
  const [from, to] = share(thread, rows, 4);
  return { from, to };
}
