// The whole forward pass of the Llama family: ids, positions and the past go in; logits, keys and values come out. Llama,
// Mistral, Qwen2, Qwen3 and SmolLM3 are this, with or without some of its parts (see model/llama-config.ts).
// Pure functions of their arguments. Knows nothing of text, sampling, files, or who keeps the cache.
// The names are those of the Hugging Face weights. References: Touvron et al. 2023; transformers modeling_llama.py, _qwen3.py.
//
// Shapes: B sequences of T new tokens each, N wanted tokens, C = nEmbd, V = vocabSize; S is the length of one segment
// of the past. The types of what goes in and comes out are in tf-model.ts.

import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { LLAMA_VOCABULARY, type LlamaConfig } from '../model/llama-config.js';
import { attend, hiddenIn, hiddenOf, splitHeads, type Visible } from './attention.js';
import { activate, type Linear, linear, rmsNorm } from './layers.js';
import { OwnWeights } from './own-weights.js';
import { tf } from './tf.js';
import type { ForwardInputs, ForwardResult, KeyValue, Past, TfModel } from './tf-model.js';
import { type Turns, turned, turnsOf } from './turns.js';

interface Attention {
  readonly qkv_proj: Linear; // [C, (nHead + 2 · nKvHead) · headDim]: q_proj, k_proj and v_proj side by side
  readonly q_norm: Tensor1D | undefined; // [headDim]
  readonly k_norm: Tensor1D | undefined; // [headDim]
  readonly o_proj: Linear; // [nHead · headDim, C]
}

interface Mlp {
  readonly gate_up_proj: Linear; // [C, 2 · nInner]: gate_proj and up_proj side by side
  readonly down_proj: Linear; // [nInner, C]
}

interface Layer {
  readonly input_layernorm: Tensor1D; // [C]
  readonly self_attn: Attention;
  readonly post_attention_layernorm: Tensor1D; // [C]
  readonly mlp: Mlp;
}

interface LlamaWeights {
  readonly embed_tokens: Tensor2D; // [V, C]
  readonly layers: readonly Layer[];
  readonly norm: Tensor1D; // [C]
  readonly lm_head: Tensor2D; // [V, C]; where the embeddings are tied, `embed_tokens` itself
}

/** Runs T new tokens of each sequence through the model; TfModel describes the arguments and the result. */
function forward(
  config: LlamaConfig,
  weights: LlamaWeights,
  inputs: ForwardInputs,
  past: readonly Past[] | null,
): ForwardResult {
  return tf.tidy(() => {
    const { ids, positions, wanted } = inputs;
    const turns = turnsOf(config.rotary, positions);
    const hidden = hiddenOf(inputs, config.nHead / config.nKvHead);
    let x: Tensor2D = tf.reshape(tf.gather(weights.embed_tokens, ids), [-1, config.nEmbd]); // [B·T, C]
    const presents = weights.layers.map((layer, i) => {
      const visible = { past: past?.[i] ?? [], ...hiddenIn(hidden, config.windows[i]) };
      const turning = config.rotates[i] === true ? turns : null;
      const step = decoderLayer({ config, layer, shape: ids.shape, turns: turning, ...visible }, x);
      x = step.x;
      return { k: step.k, v: step.v };
    });
    // Only the wanted tokens are multiplied by the vocabulary matrix, the largest of all.
    const normed = rmsNorm<Tensor2D>(tf.gather(x, wanted), weights.norm, config.rmsNormEpsilon); // [N, C]
    return { logits: tf.matMul<Tensor2D>(normed, weights.lm_head, false, true), presents }; // [N, V]
  });
}

/** What one layer needs besides x: its weights, and what the new tokens attend to. */
interface LayerInputs extends Visible {
  readonly config: LlamaConfig;
  readonly layer: Layer;
  readonly shape: readonly [B: number, T: number];
  /** null: this layer knows no positions. */
  readonly turns: Turns | null;
}

/** Adds attention to x, then the MLP. It has a tidy of its own, so that its scores are freed before the next layer. */
function decoderLayer(inputs: LayerInputs, x: Tensor2D): KeyValue & { x: Tensor2D } {
  return tf.tidy(() => {
    const { config, layer } = inputs;
    const { a, k, v } = attention(inputs, rmsNorm(x, layer.input_layernorm, config.rmsNormEpsilon));
    const mid = tf.add<Tensor2D>(x, a);
    const m = mlp(config, layer.mlp, rmsNorm(mid, layer.post_attention_layernorm, config.rmsNormEpsilon));
    return { x: tf.add<Tensor2D>(mid, m), k, v };
  });
}

/** Causal self-attention, where nHead / nKvHead query heads share the keys and values of one. */
function attention(inputs: LayerInputs, x: Tensor2D): KeyValue & { a: Tensor2D } {
  const { config, layer, shape, turns } = inputs;
  const { nHead, nKvHead, headDim, rotary } = config;
  const { qkv_proj, q_norm, k_norm, o_proj } = layer.self_attn;
  const heads = splitHeads(linear(x, qkv_proj), shape, nHead + 2 * nKvHead); // [B, nHead + 2 · nKvHead, T, headDim]
  const [q, k, v] = tf.split<Tensor4D>(heads, [nHead, nKvHead, nKvHead], 1) as [Tensor4D, Tensor4D, Tensor4D]; // [B, …, T, headDim]
  const placed = (x: Tensor4D, norm: Tensor1D | undefined): Tensor4D => {
    const normed = norm === undefined ? x : rmsNorm(x, norm, config.rmsNormEpsilon);
    return turns === null ? normed : turned(normed, rotary, turns);
  };
  const scaled = tf.mul<Tensor4D>(placed(q, q_norm), 1 / Math.sqrt(headDim));
  const { mixed, ...present } = attend(scaled, placed(k, k_norm), v, inputs); // [B·T, nHead · headDim]
  return { a: linear(mixed, o_proj), ...present };
}

/** SwiGLU: down(act(gate(x)) · up(x)). Source: Shazeer 2020. */
function mlp(config: LlamaConfig, { gate_up_proj, down_proj }: Mlp, x: Tensor2D): Tensor2D {
  const [gate, up] = tf.split<Tensor2D>(linear(x, gate_up_proj), 2, 1) as [Tensor2D, Tensor2D]; // 2 × [B·T, nInner]
  return linear(tf.mul<Tensor2D>(activate(config.activation, gate), up), down_proj); // [B·T, C]
}

/** Makes the model of these tensors, and owns them from here on. */
export function llamaModel(config: LlamaConfig, tensors: ReadonlyMap<string, Tensor>): TfModel {
  const own = new OwnWeights(tensors);
  const weights = assemble(config, own);
  const window = Math.max(...config.windows);
  return { parameters: own.parameters, window, forward: (inputs, past) => forward(config, weights, inputs, past) };
}

function assemble(config: LlamaConfig, own: OwnWeights): LlamaWeights {
  const { embedding, head } = LLAMA_VOCABULARY;
  return {
    embed_tokens: own.matrix(embedding),
    layers: Array.from({ length: config.nLayer }, (_, i) => assembleLayer(config, own, `layers.${i}`)),
    norm: own.vector('norm.weight'),
    lm_head: own.outputMatrix(embedding, head),
  };
}

function assembleLayer({ hasQkNorm }: LlamaConfig, own: OwnWeights, layer: string): Layer {
  const norm = (name: string) => (hasQkNorm ? own.vector(`${layer}.self_attn.${name}.weight`) : undefined);
  const attention = (part: string) => `${layer}.self_attn.${part}_proj`;
  const mlp = (part: string) => `${layer}.mlp.${part}_proj`;
  return {
    input_layernorm: own.vector(`${layer}.input_layernorm.weight`),
    self_attn: {
      qkv_proj: own.linear(attention('q'), attention('k'), attention('v')),
      q_norm: norm('q_norm'),
      k_norm: norm('k_norm'),
      o_proj: own.linear(attention('o')),
    },
    post_attention_layernorm: own.vector(`${layer}.post_attention_layernorm.weight`),
    mlp: { gate_up_proj: own.linear(mlp('gate'), mlp('up')), down_proj: own.linear(mlp('down')) },
  };
}
