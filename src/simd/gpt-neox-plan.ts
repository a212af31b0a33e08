// Where everything of a GPT-NeoX lies in linear memory: weights, the buffers of a pass, and what each thread has for itself. Made
// before the memory is, from the sizes alone, so that threads may start while the weights are still being read.
// The names are those of the Hugging Face weights.

import { GPT_NEOX, type GptNeoxConfig } from '../model/gpt-neox-config.js';
import { MAX_TOKENS } from './control.js';
import { type Buffers, type Gpt2Widths, widthsOf } from './gpt2-plan.js';
import type { Pointer } from './kernels.js';
import type { MemoryPlan } from './linear-memory.js';
import { type Linear, planLinear, planMatrix, planScratch, type WeightKind } from './matrix.js';
import { linearPlaces, type Norm, normPlaces, vocabularyPlace } from './places.js';
import { planTurns, type TurnsScratch } from './rotary-plan.js';
import type { ModelPlan, Place, Spread } from './simd-model.js';

export interface Layer {
  readonly input_layernorm: Norm;
  readonly attention: { readonly query_key_value: Linear; readonly dense: Linear };
  readonly post_attention_layernorm: Norm;
  readonly mlp: { readonly dense_h_to_4h: Linear; readonly dense_4h_to_h: Linear };
}

export interface GptNeoxPlan extends ModelPlan {
  readonly widths: Gpt2Widths;
  readonly inverseFrequencies: Pointer; // [dimensions / 2]
  readonly layers: readonly Layer[];
  readonly final_layer_norm: Norm;
  readonly buffers: Buffers;
  /** One for each thread. */
  readonly scratch: readonly TurnsScratch[];
}

export function planGptNeox(plan: MemoryPlan, config: GptNeoxConfig, kind: WeightKind, threads: number): GptNeoxPlan {
  const widths = widthsOf(config);
  const { C, heads, mixed, inner, V } = widths;
  const vector = (length: number) => plan.reserve(4 * length);
  const vectors = (width: number) => vector(MAX_TOKENS * width);
  const norm = (): Norm => ({ weight: vector(C), bias: vector(C) });
  const linear = (rows: number, columns: number, hasBias: boolean) => planLinear(plan, kind, rows, columns, hasBias);
  return {
    widths,
    wte: planMatrix(plan, kind, V, C),
    inverseFrequencies: vector(config.rotary.inverseFrequencies.length),
    layers: Array.from({ length: config.nLayer }, () => ({
      input_layernorm: norm(),
      attention: {
        query_key_value: linear(3 * heads, C, config.hasAttentionBias),
        dense: linear(C, heads, config.hasAttentionBias),
      },
      post_attention_layernorm: norm(),
      mlp: { dense_h_to_4h: linear(inner, C, true), dense_4h_to_h: linear(C, inner, true) },
    })),
    final_layer_norm: norm(),
    logits: vectors(V),
    logitsStride: V,
    buffers: { x: vectors(C), qkv: vectors(3 * heads), mixed: vectors(mixed), inner: vectors(inner) },
    scratch: Array.from({ length: threads }, () => ({
      ...planScratch(plan, C, Math.max(C, mixed, inner)),
      ...planTurns(plan, config.rotary),
    })),
  };
}

/** Where the tensors of a folder go. PyTorch stores a weight as [out, in], so a line of it is a row. */
export function placesOfGptNeox(plan: GptNeoxPlan, config: GptNeoxConfig): Map<string, Place> {
  const { widths, wte, layers, final_layer_norm } = plan;
  const C: Spread = { group: config.nEmbd, padded: widths.C };
  const heads: Spread = { group: config.headDim, padded: widths.headDim };
  const inner: Spread = { group: config.nInner, padded: widths.inner };
  return new Map([
    [GPT_NEOX.vocabulary.embedding, vocabularyPlace(wte, config)],
    ...layers.flatMap(({ input_layernorm, attention, post_attention_layernorm, mlp }, i) => [
      ...normPlaces(`layers.${i}.input_layernorm`, input_layernorm, C),
      ...linearPlaces(`layers.${i}.attention.query_key_value`, attention.query_key_value, C, heads),
      ...linearPlaces(`layers.${i}.attention.dense`, attention.dense, heads, C),
      ...normPlaces(`layers.${i}.post_attention_layernorm`, post_attention_layernorm, C),
      ...linearPlaces(`layers.${i}.mlp.dense_h_to_4h`, mlp.dense_h_to_4h, C, inner),
      ...linearPlaces(`layers.${i}.mlp.dense_4h_to_h`, mlp.dense_4h_to_h, inner, C),
    ]),
    ...normPlaces('final_layer_norm', final_layer_norm, C),
  ]);
}
