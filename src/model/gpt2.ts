// GPT-2, the whole forward pass: token ids, positions and the past in; logits and keys and values out.
// Pure functions of their arguments. Knows nothing of text, sampling, files, or who keeps the cache.
// Names are those of the GPT-2 paper's code and of the Hugging Face weights.
// References: Radford et al. 2019; openai/gpt-2 src/model.py; transformers modeling_gpt2.py.
//
// Shapes: B sequences, T new tokens each, S = past + T tokens attended to, C = nEmbd, V = vocabSize.

import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-core';
import type { Activation, Gpt2Config } from '../config.js';

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

/** One layer's keys and values. */
export interface KeyValue {
  readonly k: Tensor4D; // [B, nHead, S, headDim]
  readonly v: Tensor4D; // [B, nHead, S, headDim]
}

export interface ForwardResult {
  readonly logits: Tensor2D; // [B, V], of the last token of each sequence
  readonly presents: readonly KeyValue[]; // one a layer, past and new tokens together
}

/**
 * Runs T new tokens of each sequence through the model.
 * @param ids [B, T] int32, each below V
 * @param positions [B, T] int32: past … past + T − 1
 * @param past keys and values of the tokens before, one a layer; null when there are none
 * @returns logits of the last tokens, and keys and values of past and new tokens; the caller disposes both
 */
export function forward(
  config: Gpt2Config,
  weights: Gpt2Weights,
  ids: Tensor2D,
  positions: Tensor2D,
  past: readonly KeyValue[] | null,
): ForwardResult {
  return tf.tidy(() => {
    const [B, T] = ids.shape;
    const bias = T === 1 ? null : causalBias(T, (past?.[0]?.k.shape[2] ?? 0) + T); // [T, S]
    let x: Tensor2D = tf.reshape(tf.add(tf.gather(weights.wte, ids), tf.gather(weights.wpe, positions)), [
      -1,
      config.nEmbd,
    ]); // [B·T, C]
    const presents = weights.h.map((block, layer) => {
      const step = transformerBlock(config, block, layer, x, B, past?.[layer] ?? null, bias);
      x = step.x;
      return { k: step.k, v: step.v };
    });
    const last = T === 1 ? x : lastRows(x, B, T, config.nEmbd); // [B, C]
    const normed = layerNorm(last, weights.ln_f, config.layerNormEpsilon);
    return { logits: tf.matMul<Tensor2D>(normed, weights.lm_head, false, true), presents }; // [B, V]
  });
}

/** Only the last token's logits are asked for, so only that row meets the vocabulary matrix. */
function lastRows(x: Tensor2D, B: number, T: number, C: number): Tensor2D {
  return tf.reshape(tf.slice(tf.reshape(x, [B, T, C]), [0, T - 1, 0], [B, 1, C]), [B, C]); // [B, C]
}

/** x + attention, then + MLP. Its own tidy, so that one layer's scores are gone before the next layer's. */
function transformerBlock(
  config: Gpt2Config,
  block: Block,
  layer: number,
  x: Tensor2D,
  B: number,
  past: KeyValue | null,
  bias: Tensor2D | null,
): KeyValue & { x: Tensor2D } {
  return tf.tidy(() => {
    const { a, k, v } = attention(
      config,
      block,
      layer,
      layerNorm(x, block.ln_1, config.layerNormEpsilon),
      B,
      past,
      bias,
    );
    const mid = tf.add<Tensor2D>(x, a);
    const h = linear(layerNorm(mid, block.ln_2, config.layerNormEpsilon), block.mlp.c_fc); // [B·T, nInner]
    const m = linear(activate(config.activation, h), block.mlp.c_proj); // [B·T, C]
    return { x: tf.add<Tensor2D>(mid, m), k, v };
  });
}

/** Causal multi-head self-attention of the new tokens over past and new tokens. */
function attention(
  config: Gpt2Config,
  block: Block,
  layer: number,
  x: Tensor2D,
  B: number,
  past: KeyValue | null,
  bias: Tensor2D | null,
): KeyValue & { a: Tensor2D } {
  const [q, newK, newV] = tf.split<Tensor2D>(linear(x, block.attn.c_attn), 3, 1) as [Tensor2D, Tensor2D, Tensor2D]; // 3 × [B·T, C]
  const k = withPast(past?.k, splitHeads(newK, B, config)); // [B, nHead, S, headDim]
  const v = withPast(past?.v, splitHeads(newV, B, config)); // [B, nHead, S, headDim]
  const scaled = tf.mul<Tensor4D>(splitHeads(q, B, config), scoreScale(config, layer)); // [B, nHead, T, headDim]
  const scores = tf.matMul<Tensor4D>(scaled, k, false, true); // [B, nHead, T, S]
  const probabilities = tf.softmax(bias === null ? scores : tf.add<Tensor4D>(scores, bias));
  const mixed = mergeHeads(tf.matMul<Tensor4D>(probabilities, v), config.nEmbd); // [B·T, C]
  return { a: linear(mixed, block.attn.c_proj), k, v };
}

function splitHeads(x: Tensor2D, B: number, { nHead, headDim }: Gpt2Config): Tensor4D {
  return tf.transpose(tf.reshape(x, [B, -1, nHead, headDim]), [0, 2, 1, 3]); // [B, nHead, T, headDim]
}

function mergeHeads(x: Tensor4D, C: number): Tensor2D {
  return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [-1, C]); // [B·T, C]
}

function withPast(past: Tensor4D | undefined, present: Tensor4D): Tensor4D {
  return past === undefined ? present : tf.concat([past, present], 2); // [B, nHead, S, headDim]
}

function scoreScale(config: Gpt2Config, layer: number): number {
  const byHead = config.scaleAttnWeights ? 1 / Math.sqrt(config.headDim) : 1;
  return config.scaleAttnByInverseLayerIdx ? byHead / (layer + 1) : byHead;
}

/** 0 where new token i may look at token j, else so low that softmax gives exactly 0. */
function causalBias(T: number, S: number): Tensor2D {
  const i = tf.reshape(tf.range(S - T, S, 1, 'int32'), [T, 1]);
  const j = tf.reshape(tf.range(0, S, 1, 'int32'), [1, S]);
  return tf.mul(tf.cast(tf.greater(j, i), 'float32'), -1e9); // [T, S]
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
