// Where everything of a model of the Llama family lies in linear memory: weights, the buffers of a pass, and what each thread has for
// itself. Made before the memory is, from the sizes alone, so that threads may start while the weights are still being read.
// The names are those of the Hugging Face weights.

import { LLAMA_VOCABULARY, type LlamaConfig } from '../model/llama-config.js';
import { filledHead } from './blocks.js';
import { MAX_TOKENS } from './control.js';
import type { Pointer } from './kernels.js';
import type { MemoryPlan } from './linear-memory.js';
import { filledUp, type Linear, planLinear, planMatrix, planScratch, type WeightKind } from './matrix.js';
import { linearPlaces, vectorPlace, vocabularyPlace } from './places.js';
import { planTurns, type TurnsScratch } from './rotary-plan.js';
import type { ModelPlan, Place, Spread } from './simd-model.js';

interface Attention {
  readonly q_proj: Linear;
  readonly k_proj: Linear;
  readonly v_proj: Linear;
  readonly o_proj: Linear;
  readonly q_norm: Pointer; // [headDim]; 0: none
  readonly k_norm: Pointer; // [headDim]; 0: none
}

export interface Layer {
  readonly input_layernorm: Pointer; // [C]
  readonly self_attn: Attention;
  readonly post_attention_layernorm: Pointer; // [C]
  readonly mlp: { readonly gate_proj: Linear; readonly up_proj: Linear; readonly down_proj: Linear };
}

/** Sizes, each filled up so that kernels need no remainders. */
export interface LlamaWidths {
  readonly C: number; // nEmbd
  readonly headDim: number; // a multiple of 4
  readonly q: number; // nHead · headDim
  readonly kv: number; // nKvHead · headDim
  readonly mixed: number; // nHead · headDim, a multiple of 16
  readonly inner: number; // nInner
  readonly V: number; // vocabSize
}

export interface LlamaPlan extends ModelPlan {
  readonly widths: LlamaWidths;
  readonly inverseFrequencies: Pointer; // [dimensions / 2]
  readonly layers: readonly Layer[];
  readonly norm: Pointer; // [C]
  readonly buffers: Buffers;
  /** One for each thread. */
  readonly scratch: readonly TurnsScratch[];
}

/** Written by all threads, each its own columns. T tokens, N wanted ones. */
interface Buffers {
  readonly x: Pointer; // [T, C]
  readonly qkv: Pointer; // [T, q + 2 · kv]
  readonly mixed: Pointer; // [T, mixed]
  readonly gate: Pointer; // [T, inner]
  readonly up: Pointer; // [T, inner]
}

function widthsOf({ nEmbd, nHead, nKvHead, headDim, nInner, vocabSize }: LlamaConfig): LlamaWidths {
  const head = filledHead(headDim);
  return {
    C: filledUp(nEmbd),
    headDim: head,
    q: nHead * head,
    kv: nKvHead * head,
    mixed: filledUp(nHead * head),
    inner: filledUp(nInner),
    V: filledUp(vocabSize),
  };
}

export function planLlama(plan: MemoryPlan, config: LlamaConfig, kind: WeightKind, threads: number): LlamaPlan {
  const widths = widthsOf(config);
  const { C, mixed, inner, V } = widths;
  const vector = (length: number) => plan.reserve(4 * length);
  return {
    widths,
    wte: planMatrix(plan, kind, V, C),
    inverseFrequencies: vector(config.rotary.inverseFrequencies.length),
    layers: Array.from({ length: config.nLayer }, () => planLayer(plan, config, kind, widths)),
    norm: vector(C),
    logits: vector(MAX_TOKENS * V),
    logitsStride: V,
    buffers: planBuffers(plan, widths),
    scratch: Array.from({ length: threads }, () => ({
      ...planScratch(plan, C, Math.max(C, mixed, inner)),
      ...planTurns(plan, config.rotary),
    })),
  };
}

function planLayer(plan: MemoryPlan, config: LlamaConfig, kind: WeightKind, widths: LlamaWidths): Layer {
  const { C, headDim, q, kv, inner } = widths;
  const { biases, hasQkNorm } = config;
  const vector = (length: number) => plan.reserve(4 * length);
  const linear = (rows: number, columns: number, hasBias: boolean) => planLinear(plan, kind, rows, columns, hasBias);
  const headNorm = () => (hasQkNorm ? vector(headDim) : 0);
  return {
    input_layernorm: vector(C),
    self_attn: {
      q_proj: linear(q, C, biases.qkv),
      k_proj: linear(kv, C, biases.qkv),
      v_proj: linear(kv, C, biases.qkv),
      o_proj: linear(C, q, biases.output),
      q_norm: headNorm(),
      k_norm: headNorm(),
    },
    post_attention_layernorm: vector(C),
    mlp: {
      gate_proj: linear(inner, C, biases.mlp),
      up_proj: linear(inner, C, biases.mlp),
      down_proj: linear(C, inner, biases.mlp),
    },
  };
}

function planBuffers(plan: MemoryPlan, { C, q, kv, mixed, inner }: LlamaWidths): Buffers {
  const vectors = (width: number) => plan.reserve(4 * MAX_TOKENS * width);
  return { x: vectors(C), qkv: vectors(q + 2 * kv), mixed: vectors(mixed), gate: vectors(inner), up: vectors(inner) };
}

/** Where the tensors of a folder go. PyTorch stores a weight as [out, in], so a line of it is a row. */
export function placesOfLlama(plan: LlamaPlan, config: LlamaConfig): Map<string, Place> {
  const { widths, wte, layers, norm } = plan;
  const C: Spread = { group: config.nEmbd, padded: widths.C };
  const heads: Spread = { group: config.headDim, padded: widths.headDim };
  const inner: Spread = { group: config.nInner, padded: widths.inner };
  const places = new Map<string, Place>([
    [LLAMA_VOCABULARY.embedding, vocabularyPlace(wte, config)],
    ['norm.weight', vectorPlace(norm, C)],
  ]);
  for (const [i, { input_layernorm, self_attn, post_attention_layernorm, mlp }] of layers.entries()) {
    const attention = `layers.${i}.self_attn`;
    const all: readonly (readonly [string, Place])[] = [
      [`layers.${i}.input_layernorm.weight`, vectorPlace(input_layernorm, C)],
      [`layers.${i}.post_attention_layernorm.weight`, vectorPlace(post_attention_layernorm, C)],
      ...linearPlaces(`${attention}.q_proj`, self_attn.q_proj, C, heads),
      ...linearPlaces(`${attention}.k_proj`, self_attn.k_proj, C, heads),
      ...linearPlaces(`${attention}.v_proj`, self_attn.v_proj, C, heads),
      ...linearPlaces(`${attention}.o_proj`, self_attn.o_proj, heads, C),
      [`${attention}.q_norm.weight`, vectorPlace(self_attn.q_norm, heads)],
      [`${attention}.k_norm.weight`, vectorPlace(self_attn.k_norm, heads)],
      ...linearPlaces(`layers.${i}.mlp.gate_proj`, mlp.gate_proj, C, inner),
      ...linearPlaces(`layers.${i}.mlp.up_proj`, mlp.up_proj, C, inner),
      ...linearPlaces(`layers.${i}.mlp.down_proj`, mlp.down_proj, inner, C),
    ];
    for (const [name, place] of all) {
      places.set(name, place);
    }
  }
  return places;
}
