// The whole forward pass of GPT-2: ids, positions and the past go in; logits, keys and values come out.
// Pure functions of their arguments. Knows nothing of text, sampling, files, or who keeps the cache.
// The names are those of OpenAI's code for GPT-2 and of the Hugging Face weights.
// References: Radford et al. 2019; openai/gpt-2 src/model.py; transformers modeling_gpt2.py.
//
// Shapes: B sequences of T new tokens each, N wanted tokens, C = nEmbd, V = vocabSize; S is the length of one segment
// of the past. The types of what goes in and comes out are in tf-model.ts.

import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { type Gpt2Config, scoreScale } from '../model/gpt2-config.js';
import { attend, hiddenIn, hiddenOf, splitHeads, type Visible } from './attention.js';
import { activate, type LayerNorm, type Linear, layerNorm, linear, outputMatrix } from './layers.js';
import { tf } from './tf.js';
import type { ForwardInputs, ForwardResult, KeyValue, Past, TfModel } from './tf-model.js';

interface Block {
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
  readonly lm_head: Tensor2D; // [V, C]; where the embeddings are tied, `wte` itself
}

/** Runs T new tokens of each sequence through the model; TfModel describes the arguments and the result. */
export function forward(
  config: Gpt2Config,
  weights: Gpt2Weights,
  inputs: ForwardInputs,
  past: readonly Past[] | null,
): ForwardResult {
  return tf.tidy(() => {
    const { ids, positions, wanted } = inputs;
    const hidden = hiddenOf(inputs, 1);
    const embedded = tf.add(tf.gather(weights.wte, ids), tf.gather(weights.wpe, positions)); // [B, T, C]
    let x: Tensor2D = tf.reshape(embedded, [-1, config.nEmbd]); // [B·T, C]
    const presents = weights.h.map((block, layer) => {
      const visible = { past: past?.[layer] ?? [], ...hiddenIn(hidden, config.windows?.[layer] ?? 0) };
      const step = transformerBlock({ config, block, layer, shape: ids.shape, ...visible }, x);
      x = step.x;
      return { k: step.k, v: step.v };
    });
    // Only the wanted tokens are multiplied by the vocabulary matrix, the largest of all.
    const normed = layerNorm(tf.gather(x, wanted), weights.ln_f, config.layerNormEpsilon); // [N, C]
    return { logits: tf.matMul<Tensor2D>(normed, weights.lm_head, false, true), presents }; // [N, V]
  });
}

/** What one layer needs besides x: its weights, and what the new tokens attend to. */
interface LayerInputs extends Visible {
  readonly config: Gpt2Config;
  readonly block: Block;
  readonly layer: number;
  readonly shape: readonly [B: number, T: number];
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
  const { config, block, layer, shape } = inputs;
  const qkv = tf.split<Tensor2D>(linear(x, block.attn.c_attn), 3, 1); // 3 × [B·T, C]
  const [q, newK, newV] = qkv.map((part) => splitHeads(part, shape, config.nHead)) as [Tensor4D, Tensor4D, Tensor4D]; // [B, nHead, T, headDim]
  const scaled = tf.mul<Tensor4D>(q, scoreScale(config, layer));
  const { mixed, k, v } = attend(scaled, newK, newV, inputs); // [B·T, C], [B, nHead, S, headDim]
  return { a: linear(mixed, block.attn.c_proj), k, v };
}

/** Makes the model of these tensors, and owns them from here on. */
export function gpt2Model(config: Gpt2Config, tensors: ReadonlyMap<string, Tensor>): TfModel {
  const weights = assemble(config, tensors);
  return {
    window: 0,
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
