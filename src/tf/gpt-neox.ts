// The whole forward pass of GPT-NeoX: ids, positions and the past go in; logits, keys and values come out.
// Pure functions of their arguments. Knows nothing of text, sampling, files, or who keeps the cache.
// The names are those of the Hugging Face weights. References: Black et al. 2022; transformers modeling_gpt_neox.py.
//
// Shapes: B sequences of T new tokens each, N wanted tokens, C = nEmbd, V = vocabSize; S is the length of one segment
// of the past. The types of what goes in and comes out are in tf-model.ts.

import type { Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { GPT_NEOX, type GptNeoxConfig } from '../model/gpt-neox-config.js';
import { attend, hiddenOf, splitHeads, type Visible } from './attention.js';
import { activate, type LayerNorm, type Linear, layerNorm, linear } from './layers.js';
import { OwnWeights } from './own-weights.js';
import { tf } from './tf.js';
import type { ForwardInputs, ForwardResult, KeyValue, Past, TfModel } from './tf-model.js';
import { type Turns, turned, turnsOf } from './turns.js';

interface Layer {
  readonly input_layernorm: LayerNorm;
  readonly attention: { readonly query_key_value: Linear; readonly dense: Linear }; // [C, nHead · 3 · headDim], [C, C]
  readonly post_attention_layernorm: LayerNorm;
  readonly mlp: { readonly dense_h_to_4h: Linear; readonly dense_4h_to_h: Linear }; // [C, nInner], [nInner, C]
}

interface GptNeoxWeights {
  readonly embed_in: Tensor2D; // [V, C]
  readonly layers: readonly Layer[];
  readonly final_layer_norm: LayerNorm;
  readonly embed_out: Tensor2D; // [V, C]; where the embeddings are tied, `embed_in` itself
}

/** Runs T new tokens of each sequence through the model; TfModel describes the arguments and the result. */
function forward(
  config: GptNeoxConfig,
  weights: GptNeoxWeights,
  inputs: ForwardInputs,
  past: readonly Past[] | null,
): ForwardResult {
  return tf.tidy(() => {
    const { ids, positions, wanted } = inputs;
    const turns = turnsOf(config.rotary, positions);
    const { everywhere } = hiddenOf(inputs, 1);
    let x: Tensor2D = tf.reshape(tf.gather(weights.embed_in, ids), [-1, config.nEmbd]); // [B·T, C]
    const presents = weights.layers.map((layer, i) => {
      const visible = { past: past?.[i] ?? [], ...everywhere };
      const step = transformerLayer({ config, layer, shape: ids.shape, turns, ...visible }, x);
      x = step.x;
      return { k: step.k, v: step.v };
    });
    // Only the wanted tokens are multiplied by the vocabulary matrix, the largest of all.
    const normed = layerNorm(tf.gather(x, wanted), weights.final_layer_norm, config.layerNormEpsilon); // [N, C]
    return { logits: tf.matMul<Tensor2D>(normed, weights.embed_out, false, true), presents }; // [N, V]
  });
}

/** What one layer needs besides x: its weights, and what the new tokens attend to. */
interface LayerInputs extends Visible {
  readonly config: GptNeoxConfig;
  readonly layer: Layer;
  readonly shape: readonly [B: number, T: number];
  readonly turns: Turns;
}

/** Adds attention and the MLP to x. It has a tidy of its own, so that its scores are freed before the next layer. */
function transformerLayer(inputs: LayerInputs, x: Tensor2D): KeyValue & { x: Tensor2D } {
  return tf.tidy(() => {
    const { config, layer } = inputs;
    const { a, k, v } = attention(inputs, layerNorm(x, layer.input_layernorm, config.layerNormEpsilon));
    const mid = tf.add<Tensor2D>(x, a);
    const read = layerNorm(config.isParallel ? x : mid, layer.post_attention_layernorm, config.layerNormEpsilon);
    const h = activate(config.activation, linear(read, layer.mlp.dense_h_to_4h)); // [B·T, nInner]
    return { x: tf.add<Tensor2D>(mid, linear(h, layer.mlp.dense_4h_to_h)), k, v };
  });
}

/** Causal multi-head self-attention. Query, key and value of a head lie side by side, and of the first two a part is turned. */
function attention(inputs: LayerInputs, x: Tensor2D): KeyValue & { a: Tensor2D } {
  const { config, layer, shape, turns } = inputs;
  const { nHead, headDim, rotary } = config;
  const heads = splitHeads(linear(x, layer.attention.query_key_value), shape, nHead); // [B, nHead, T, 3 · headDim]
  const [q, k, v] = tf.split<Tensor4D>(heads, 3, 3) as [Tensor4D, Tensor4D, Tensor4D]; // 3 × [B, nHead, T, headDim]
  const scaled = tf.mul<Tensor4D>(turned(q, rotary, turns), 1 / Math.sqrt(headDim));
  const { mixed, ...present } = attend(scaled, turned(k, rotary, turns), v, inputs); // [B·T, C]
  return { a: linear(mixed, layer.attention.dense), ...present };
}

/** Makes the model of these tensors, and owns them from here on. */
export function gptNeoxModel(config: GptNeoxConfig, tensors: ReadonlyMap<string, Tensor>): TfModel {
  const own = new OwnWeights(tensors);
  const weights = assemble(config, own);
  return { parameters: own.parameters, window: 0, forward: (inputs, past) => forward(config, weights, inputs, past) };
}

function assemble({ nLayer }: GptNeoxConfig, own: OwnWeights): GptNeoxWeights {
  const { embedding, head } = GPT_NEOX.vocabulary;
  return {
    embed_in: own.matrix(embedding),
    layers: Array.from({ length: nLayer }, (_, i) => ({
      input_layernorm: own.layerNorm(`layers.${i}.input_layernorm`),
      attention: {
        query_key_value: own.linear(`layers.${i}.attention.query_key_value`),
        dense: own.linear(`layers.${i}.attention.dense`),
      },
      post_attention_layernorm: own.layerNorm(`layers.${i}.post_attention_layernorm`),
      mlp: {
        dense_h_to_4h: own.linear(`layers.${i}.mlp.dense_h_to_4h`),
        dense_4h_to_h: own.linear(`layers.${i}.mlp.dense_4h_to_h`),
      },
    })),
    final_layer_norm: own.layerNorm('final_layer_norm'),
    embed_out: own.outputMatrix(embedding, head),
  };
}
