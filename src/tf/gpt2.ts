// GPT-2, the whole forward pass: token ids, positions and the past in; logits and keys and values out.
// Pure functions of their arguments. Knows nothing of text, sampling, files, or who keeps the cache.
// Names are those of the GPT-2 paper's code and of the Hugging Face weights.
// References: Radford et al. 2019; openai/gpt-2 src/model.py; transformers modeling_gpt2.py.
//
// Shapes: B sequences, T new tokens each, C = nEmbd, V = vocabSize. The past of a layer comes in segments of
// any length, so that new rows need not be copied behind all old ones: S is the length of one segment.

import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import type { Activation, Gpt2Config } from '../model/gpt2-config.js';
import { tf } from './tf.js';

export interface LayerNorm {
  readonly weight: Tensor1D; // [C]
  readonly bias: Tensor1D; // [C]
}

/** GPT-2's `Conv1D`: a linear layer whose weight is stored [in, out]. */
export interface Linear {
  readonly weight: Tensor2D; // [in, out]
  readonly bias: Tensor1D; // [out]
}

export interface Block {
  readonly ln_1: LayerNorm;
  readonly attn: { readonly c_attn: Linear; readonly c_proj: Linear }; // [C, 3·C], [C, C]
  readonly ln_2: LayerNorm;
  readonly mlp: { readonly c_fc: Linear; readonly c_proj: Linear }; // [C, nInner], [nInner, C]
}

export interface Gpt2Weights {
  readonly wte: Tensor2D; // [V, C]
  readonly wpe: Tensor2D; // [nPositions, C]
  readonly h: readonly Block[];
  readonly ln_f: LayerNorm;
  readonly lm_head: Tensor2D; // [V, C]; `wte` itself where the embeddings are tied
}

/** Each weight once: a tied head is the embedding itself. */
export function parameters({ wte, wpe, h, ln_f, lm_head }: Gpt2Weights): Tensor[] {
  const pairs = h.flatMap(({ ln_1, attn, ln_2, mlp }) => [ln_1, attn.c_attn, attn.c_proj, ln_2, mlp.c_fc, mlp.c_proj]);
  return [...new Set([wte, wpe, lm_head, ...[...pairs, ln_f].flatMap(({ weight, bias }) => [weight, bias])])];
}

/** Keys and values of some tokens in one layer. */
export interface KeyValue {
  readonly k: Tensor4D; // [B, nHead, S, headDim]
  readonly v: Tensor4D; // [B, nHead, S, headDim]
}

/** What a forward pass is told about its tokens, all as tensors: so one recording of it serves every length. */
export interface ForwardInputs {
  readonly ids: Tensor2D; // [B, T] int32, each below V
  readonly positions: Tensor2D; // [B, T] int32, each below nPositions
  readonly bias: Tensor2D; // [T, S], added to the scores of the newest segment; see causalBias
  /** [B, 1, 1, S], added to the scores of the segment before it, where sequences are of unequal length; else null. */
  readonly padding: Tensor4D | null;
  readonly last: Tensor1D; // [N] int32, the rows of [B·T, C] whose logits are asked for
}

/** Added to a score that must not count: its weight is then 0. */
export const HIDDEN = -1e9;

/** One layer's past: segments in the order of their tokens, or none; each may be empty. */
export type Past = readonly KeyValue[];

export interface ForwardResult {
  readonly logits: Tensor2D; // [N, V]
  readonly presents: readonly KeyValue[]; // one a layer: the last segment of the past, and the new tokens
}

/**
 * Runs T new tokens of each sequence through the model.
 * @param past one a layer; null when there are no tokens before
 * @returns the caller disposes both
 */
export function forward(
  config: Gpt2Config,
  weights: Gpt2Weights,
  { ids, positions, bias, padding, last }: ForwardInputs,
  past: readonly Past[] | null,
): ForwardResult {
  return tf.tidy(() => {
    const [B, T] = ids.shape;
    const embedded = tf.add(tf.gather(weights.wte, ids), tf.gather(weights.wpe, positions)); // [B, T, C]
    let x: Tensor2D = tf.reshape(embedded, [-1, config.nEmbd]); // [B·T, C]
    const presents = weights.h.map((block, layer) => {
      const step = transformerBlock({ config, block, layer, B, T, past: past?.[layer] ?? [], bias, padding }, x);
      x = step.x;
      return { k: step.k, v: step.v };
    });
    // Only the rows that are asked for meet the vocabulary matrix.
    const normed = layerNorm(tf.gather(x, last), weights.ln_f, config.layerNormEpsilon); // [N, C]
    return { logits: tf.matMul<Tensor2D>(normed, weights.lm_head, false, true), presents }; // [N, V]
  });
}

/** For T new tokens at the end of a segment of S: 0 where token i may look at token j, else so low that its weight is 0. */
export function causalBias(T: number, S: number): Tensor2D {
  if (T === 1) {
    return tf.zeros([1, S]);
  }
  return tf.tidy(() => {
    const i = tf.reshape(tf.range(S - T, S, 1, 'int32'), [T, 1]);
    const j = tf.reshape(tf.range(0, S, 1, 'int32'), [1, S]);
    return tf.mul<Tensor2D>(tf.cast(tf.greater(j, i), 'float32'), HIDDEN); // [T, S]
  });
}

/** One layer and what it attends to. */
interface LayerInputs {
  readonly config: Gpt2Config;
  readonly block: Block;
  readonly layer: number;
  readonly B: number;
  readonly T: number;
  readonly past: Past;
  readonly bias: Tensor2D; // [T, S]
  readonly padding: Tensor4D | null; // [B, 1, 1, S]
}

/** x + attention, then + MLP. Its own tidy, so that one layer's scores are gone before the next layer's. */
function transformerBlock(inputs: LayerInputs, x: Tensor2D): KeyValue & { x: Tensor2D } {
  return tf.tidy(() => {
    const { config, block } = inputs;
    const { a, k, v } = attention(inputs, layerNorm(x, block.ln_1, config.layerNormEpsilon));
    const mid = tf.add<Tensor2D>(x, a);
    const h = linear(layerNorm(mid, block.ln_2, config.layerNormEpsilon), block.mlp.c_fc); // [B·T, nInner]
    const m = linear(activate(config.activation, h), block.mlp.c_proj); // [B·T, C]
    return { x: tf.add<Tensor2D>(mid, m), k, v };
  });
}

/** Causal multi-head self-attention of the new tokens over past and new tokens. */
function attention(inputs: LayerInputs, x: Tensor2D): KeyValue & { a: Tensor2D } {
  const { config, block, layer, past, bias, padding } = inputs;
  const [q, newK, newV] = tf.split<Tensor2D>(linear(x, block.attn.c_attn), 3, 1) as [Tensor2D, Tensor2D, Tensor2D]; // 3 × [B·T, C]
  const last = past.at(-1);
  const k = appendRows(last?.k, splitHeads(newK, inputs)); // [B, nHead, S, headDim]
  const v = appendRows(last?.v, splitHeads(newV, inputs)); // [B, nHead, S, headDim]
  const scaled = tf.mul<Tensor4D>(splitHeads(q, inputs), scoreScale(config, layer)); // [B, nHead, T, headDim]
  const older = past.slice(0, -1);
  // New tokens may look at all older ones. Of these only padding is hidden: rows before the first token of a shorter
  // sequence, which a cache keeps at the beginning of its body, the segment before the newest.
  const segments = [
    ...older.map((segment, i) => ({ ...segment, bias: i === older.length - 1 ? padding : null })), // bias: [B, 1, 1, S]
    { k, v, bias }, // bias: [T, S]
  ];
  const scores = segments.map((segment) => addBias(tf.matMul(scaled, segment.k, false, true), segment.bias)); // [B, nHead, T, S]
  const values = segments.map((segment) => segment.v); // [B, nHead, S, headDim]
  const mixed = mergeHeads(mixValues(scores, values), config.nEmbd); // [B·T, C]
  return { a: linear(mixed, block.attn.c_proj), k, v };
}

function addBias(scores: Tensor4D, bias: Tensor | null): Tensor4D {
  return bias === null ? scores : tf.add(scores, bias); // [B, nHead, T, S]
}

/**
 * softmax(scores) · values over all segments as one: the exponentials of each, less the largest score of all,
 * are summed and mixed apart, and divided at the end (the online softmax of Milakov and Gimelshein, 2018).
 */
function mixValues(scores: readonly Tensor4D[], values: readonly Tensor4D[]): Tensor4D {
  const largest = scores.map((segment) => tf.max<Tensor4D>(segment, -1, true)).reduce((a, b) => tf.maximum(a, b)); // [B, nHead, T, 1]
  const exponentials = scores.map((segment) => tf.exp(tf.sub<Tensor4D>(segment, largest))); // [B, nHead, T, S]
  const total = exponentials.map((e) => tf.sum<Tensor4D>(e, -1, true)).reduce((a, b) => tf.add(a, b)); // [B, nHead, T, 1]
  const mixed = exponentials.map((e, i) => tf.matMul(e, values[i] as Tensor4D)).reduce((a, b) => tf.add(a, b)); // [B, nHead, T, headDim]
  return tf.div(mixed, total); // [B, nHead, T, headDim]
}

/** A recording holds B, and so serves any length; or T where it is 1, and so serves any number of sequences. */
function splitHeads(x: Tensor2D, { B, T, config: { nHead, headDim } }: LayerInputs): Tensor4D {
  const [b, t] = B > 1 && T === 1 ? [-1, 1] : [B, -1];
  return tf.transpose(tf.reshape(x, [b, t, nHead, headDim]), [0, 2, 1, 3]); // [B, nHead, T, headDim]
}

function mergeHeads(x: Tensor4D, C: number): Tensor2D {
  return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [-1, C]); // [B·T, C]
}

function appendRows(past: Tensor4D | undefined, rows: Tensor4D): Tensor4D {
  return past === undefined || past.size === 0 ? rows : tf.concat([past, rows], 2); // [B, nHead, S, headDim]
}

function scoreScale(config: Gpt2Config, layer: number): number {
  const byHead = config.scaleAttnWeights ? 1 / Math.sqrt(config.headDim) : 1;
  return config.scaleAttnByInverseLayerIdx ? byHead / (layer + 1) : byHead;
}

function linear(x: Tensor2D, { weight, bias }: Linear): Tensor2D {
  return tf.add(tf.matMul(x, weight), bias); // [B·T, out]
}

function layerNorm(x: Tensor2D, { weight, bias }: LayerNorm, epsilon: number): Tensor2D {
  const centred = tf.sub(x, tf.mean(x, -1, true));
  const variance = tf.mean(tf.square(centred), -1, true); // [B·T, 1]
  return tf.add(tf.mul(tf.mul(centred, tf.rsqrt(tf.add(variance, epsilon))), weight), bias);
}

/** The MLP's activation; formulas as in transformers' activations.py. */
function activate(name: Activation, x: Tensor2D): Tensor2D {
  switch (name) {
    case 'gelu_new':
      return gelu(x, tf.tanh(tf.mul(tf.add(x, tf.mul(tf.mul(tf.square(x), x), 0.044715)), Math.sqrt(2 / Math.PI))));
    case 'gelu':
      return gelu(x, tf.erf(tf.mul(x, Math.SQRT1_2)));
    case 'relu':
      return tf.relu(x);
    case 'silu':
      return tf.mul(x, tf.sigmoid(x));
    case 'tanh':
      return tf.tanh(x);
    case 'quick_gelu':
      return tf.mul(x, tf.sigmoid(tf.mul(x, 1.702)));
  }
}

/** ½·x·(1 + s), s being the normal distribution's sigmoid or its tanh approximation. */
function gelu(x: Tensor2D, s: Tensor): Tensor2D {
  return tf.mul(tf.mul(x, 0.5), tf.add(s, 1));
}
