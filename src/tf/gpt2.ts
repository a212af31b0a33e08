// The whole forward pass of GPT-2: ids, positions and the past go in; logits, keys and values come out.
// Pure functions of their arguments. Knows nothing of text, sampling, files, or who keeps the cache.
// The names are those of OpenAI's code for GPT-2 and of the Hugging Face weights.
// References: Radford et al. 2019; openai/gpt-2 src/model.py; transformers modeling_gpt2.py.
//
// Shapes: B sequences of T new tokens each, N wanted tokens, C = nEmbd, V = vocabSize; S is the length of one segment
// of the past. The types of what goes in and comes out are in tf-model.ts.

import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { type Activation, type Gpt2Config, scoreScale } from '../model/gpt2-config.js';
import { tf } from './tf.js';
import type { ForwardInputs, ForwardResult, KeyValue, Past, TfModel } from './tf-model.js';

interface LayerNorm {
  readonly weight: Tensor1D; // [C]
  readonly bias: Tensor1D; // [C]
}

/** A linear layer; GPT-2 calls it `Conv1D` and stores its weight as [in, out]. */
interface Linear {
  readonly weight: Tensor2D; // [in, out]
  readonly bias: Tensor1D; // [out]
}

interface Block {
  readonly ln_1: LayerNorm;
  readonly attn: { readonly c_attn: Linear; readonly c_proj: Linear }; // [C, 3·C], [C, C]
  readonly ln_2: LayerNorm;
  readonly mlp: { readonly c_fc: Linear; readonly c_proj: Linear }; // [C, nInner], [nInner, C]
}

interface Gpt2Weights {
  readonly wte: Tensor2D; // [V, C]
  readonly wpe: Tensor2D; // [nPositions, C]
  readonly h: readonly Block[];
  readonly ln_f: LayerNorm;
  readonly lm_head: Tensor2D; // [V, C]; where the embeddings are tied, `wte` itself
}

/** Runs T new tokens of each sequence through the model; TfModel describes the arguments and the result. */
function forward(
  config: Gpt2Config,
  weights: Gpt2Weights,
  { ids, positions, bias, padding, wanted }: ForwardInputs,
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
    // Only the wanted tokens are multiplied by the vocabulary matrix, the largest of all.
    const normed = layerNorm(tf.gather(x, wanted), weights.ln_f, config.layerNormEpsilon); // [N, C]
    return { logits: tf.matMul<Tensor2D>(normed, weights.lm_head, false, true), presents }; // [N, V]
  });
}

/** What one layer needs besides x: its weights, and what the new tokens attend to. */
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

/** Adds attention to x, then the MLP. It has a tidy of its own, so that its scores are freed before the next layer. */
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

/** Causal multi-head self-attention: the new tokens attend to the past and to the new tokens up to themselves. */
function attention(inputs: LayerInputs, x: Tensor2D): KeyValue & { a: Tensor2D } {
  const { config, block, layer, past, bias, padding } = inputs;
  const [q, newK, newV] = tf.split<Tensor2D>(linear(x, block.attn.c_attn), 3, 1) as [Tensor2D, Tensor2D, Tensor2D]; // 3 × [B·T, C]
  const last = past.at(-1);
  const k = append(last?.k, splitHeads(newK, inputs)); // [B, nHead, S, headDim]
  const v = append(last?.v, splitHeads(newV, inputs)); // [B, nHead, S, headDim]
  const scaled = tf.mul<Tensor4D>(splitHeads(q, inputs), scoreScale(config, layer)); // [B, nHead, T, headDim]
  const older = past.slice(0, -1);
  // A new token may attend to all older ones. Only the padding before a shorter sequence is hidden from it, and that
  // lies in the segment before the newest.
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
 * softmax(scores) · values, as if all segments were one. The largest score of all is subtracted from each score. The
 * exponentials are summed and mixed segment by segment, and at the end the mix is divided by the sum of all (the online
 * softmax of Milakov and Gimelshein, 2018).
 */
function mixValues(scores: readonly Tensor4D[], values: readonly Tensor4D[]): Tensor4D {
  const largest = scores.map((segment) => tf.max<Tensor4D>(segment, -1, true)).reduce((a, b) => tf.maximum(a, b)); // [B, nHead, T, 1]
  const exponentials = scores.map((segment) => tf.exp(tf.sub<Tensor4D>(segment, largest))); // [B, nHead, T, S]
  const total = exponentials.map((e) => tf.sum<Tensor4D>(e, -1, true)).reduce((a, b) => tf.add(a, b)); // [B, nHead, T, 1]
  const mixed = exponentials.map((e, i) => tf.matMul(e, values[i] as Tensor4D)).reduce((a, b) => tf.add(a, b)); // [B, nHead, T, headDim]
  return tf.div(mixed, total); // [B, nHead, T, headDim]
}

/** Either B or T is −1, so that a recorded graph serves any number of sequences, or any number of new tokens. */
function splitHeads(x: Tensor2D, { B, T, config: { nHead, headDim } }: LayerInputs): Tensor4D {
  const [b, t] = B > 1 && T === 1 ? [-1, 1] : [B, -1];
  return tf.transpose(tf.reshape(x, [b, t, nHead, headDim]), [0, 2, 1, 3]); // [B, nHead, T, headDim]
}

function mergeHeads(x: Tensor4D, C: number): Tensor2D {
  return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [-1, C]); // [B·T, C]
}

function append(past: Tensor4D | undefined, added: Tensor4D): Tensor4D {
  return past === undefined || past.size === 0 ? added : tf.concat([past, added], 2); // [B, nHead, S, headDim]
}

function linear(x: Tensor2D, { weight, bias }: Linear): Tensor2D {
  return tf.add(tf.matMul(x, weight), bias); // [B·T, out]
}

function layerNorm(x: Tensor2D, { weight, bias }: LayerNorm, epsilon: number): Tensor2D {
  const centred = tf.sub(x, tf.mean(x, -1, true));
  const variance = tf.mean(tf.square(centred), -1, true); // [B·T, 1]
  return tf.add(tf.mul(tf.mul(centred, tf.rsqrt(tf.add(variance, epsilon))), weight), bias);
}

/** The activation of the MLP; the formulas are those of transformers' activations.py. */
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
    case 'gelu_10':
      return tf.minimum(activate('gelu', x), 10); // gelu is nowhere below −10
    case 'mish':
      return tf.mul(x, tf.tanh(tf.softplus(x)));
    case 'leaky_relu':
      return tf.maximum(x, tf.mul(x, 0.01));
    case 'linear':
      return x;
    case 'relu2':
      return tf.square(tf.relu(x));
    case 'relu6':
      return tf.relu6(x);
  }
}

/** ½·x·(1 + s), where s is erf(x/√2) or its approximation by tanh. */
function gelu(x: Tensor2D, s: Tensor): Tensor2D {
  return tf.mul(tf.mul(x, 0.5), tf.add(s, 1));
}

/** Makes the model of these tensors, and owns them from here on. */
export function gpt2Model(config: Gpt2Config, tensors: ReadonlyMap<string, Tensor>): TfModel {
  const weights = assemble(config, tensors);
  return {
    parameters: [...tensors.values()].filter((tensor) => !tensor.isDisposed), // `outputMatrix` may have dropped one
    forward: (inputs, past) => forward(config, weights, inputs, past),
  };
}

function assemble(config: Gpt2Config, tensors: ReadonlyMap<string, Tensor>): Gpt2Weights {
  const vector = (name: string) => tensors.get(name) as Tensor1D;
  const matrix = (name: string) => tensors.get(name) as Tensor2D;
  const norm = (name: string): LayerNorm => ({ weight: vector(`${name}.weight`), bias: vector(`${name}.bias`) });
  const linear = (name: string): Linear => ({ weight: matrix(`${name}.weight`), bias: vector(`${name}.bias`) });
  const wte = matrix('wte.weight');
  return {
    wte,
    wpe: matrix('wpe.weight'),
    h: Array.from({ length: config.nLayer }, (_, i) => ({
      ln_1: norm(`h.${i}.ln_1`),
      attn: { c_attn: linear(`h.${i}.attn.c_attn`), c_proj: linear(`h.${i}.attn.c_proj`) },
      ln_2: norm(`h.${i}.ln_2`),
      mlp: { c_fc: linear(`h.${i}.mlp.c_fc`), c_proj: linear(`h.${i}.mlp.c_proj`) },
    })),
    ln_f: norm('ln_f'),
    lm_head: outputMatrix(wte, tensors.get('lm_head.weight') as Tensor2D | undefined),
  };
}

/** As in transformers 5 a stored lm_head is used even where the config says tied. An equal copy of wte is dropped. */
function outputMatrix(wte: Tensor2D, head: Tensor2D | undefined): Tensor2D {
  if (head === undefined) {
    return wte;
  }
  const [embedding, output] = [wte.dataSync(), head.dataSync()];
  if (!output.every((value, i) => value === embedding[i])) {
    return head;
  }
  head.dispose();
  return wte;
}
