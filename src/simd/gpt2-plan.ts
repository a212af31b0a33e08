// Where everything of a GPT-2 lies in linear memory: weights, the buffers of a pass, and what each thread has for itself. Made
// before the memory is, from the sizes alone, so that threads may start while the weights are still being read.
// The names are those of the Hugging Face weights.

import type { Gpt2Config } from '../model/gpt2-config.js';
import { filledHead } from './blocks.js';
import { MAX_TOKENS } from './control.js';
import type { Pointer } from './kernels.js';
import type { MemoryPlan } from './linear-memory.js';
import { filledUp, type Linear, planLinear, planMatrix, planScratch, type Scratch, type WeightKind } from './matrix.js';
import { type Norm, normPlaces, vectorPlace, vocabularyPlace } from './places.js';
import type { ModelPlan, Place, Spread } from './simd-model.js';

export interface Block {
  readonly ln_1: Norm;
  readonly attn: { readonly c_attn: Linear; readonly c_proj: Linear };
  readonly ln_2: Norm;
  readonly mlp: { readonly c_fc: Linear; readonly c_proj: Linear };
}

/** Sizes, each filled up so that kernels need no remainders. */
export interface Gpt2Widths {
  readonly C: number; // nEmbd
  readonly headDim: number; // a multiple of 4
  readonly heads: number; // nHead · headDim
  readonly mixed: number; // the same, a multiple of 16
  readonly inner: number; // nInner
  readonly V: number; // vocabSize
}

export interface Gpt2Plan extends ModelPlan {
  readonly widths: Gpt2Widths;
  readonly wpe: Pointer; // [nPositions, C]
  readonly h: readonly Block[];
  readonly ln_f: Norm;
  readonly buffers: Buffers;
  /** One for each thread. */
  readonly scratch: readonly Scratch[];
}

/** Written by all threads, each its own columns. T tokens, N wanted ones. */
export interface Buffers {
  readonly x: Pointer; // [T, C]
  readonly qkv: Pointer; // [T, 3 · heads]
  readonly mixed: Pointer; // [T, mixed]
  readonly inner: Pointer; // [T, inner]
}

type Sizes = Pick<Gpt2Config, 'nEmbd' | 'nHead' | 'headDim' | 'nInner' | 'vocabSize'>;

export function widthsOf({ nEmbd, nHead, headDim, nInner, vocabSize }: Sizes): Gpt2Widths {
  const head = filledHead(headDim);
  return {
    C: filledUp(nEmbd),
    headDim: head,
    heads: nHead * head,
    mixed: filledUp(nHead * head),
    inner: filledUp(nInner),
    V: filledUp(vocabSize),
  };
}

export function planGpt2(plan: MemoryPlan, config: Gpt2Config, kind: WeightKind, threads: number): Gpt2Plan {
  const widths = widthsOf(config);
  const { C, heads, inner, V } = widths;
  const vector = (length: number) => plan.reserve(4 * length);
  const norm = () => ({ weight: vector(C), bias: vector(C) });
  const linear = (rows: number, columns: number) => planLinear(plan, kind, rows, columns, true);
  return {
    widths,
    wte: planMatrix(plan, kind, V, C),
    wpe: vector(config.nPositions * C),
    h: Array.from({ length: config.nLayer }, () => ({
      ln_1: norm(),
      attn: { c_attn: linear(3 * heads, C), c_proj: linear(C, heads) },
      ln_2: norm(),
      mlp: { c_fc: linear(inner, C), c_proj: linear(C, inner) },
    })),
    ln_f: norm(),
    logits: vector(MAX_TOKENS * V),
    logitsStride: V,
    buffers: planBuffers(plan, widths),
    scratch: Array.from({ length: threads }, () => planScratch(plan, widths.C, Math.max(C, widths.mixed, inner))),
  };
}

function planBuffers(plan: MemoryPlan, { C, heads, mixed, inner }: Gpt2Widths): Buffers {
  const vectors = (width: number) => plan.reserve(4 * MAX_TOKENS * width);
  return {
    x: vectors(C),
    qkv: vectors(3 * heads),
    mixed: vectors(mixed),
    inner: vectors(inner),
  };
}

/** Where the tensors of a folder go. GPT-2 stores a weight as [in, out], so a line of it is a column. */
export function placesOfGpt2(plan: Gpt2Plan, config: Gpt2Config): Map<string, Place> {
  const { widths, wte, wpe, h, ln_f } = plan;
  const plain = (size: number, padded: number): Spread => ({ group: size, padded });
  const C = plain(config.nEmbd, widths.C);
  const heads = { group: config.headDim, padded: widths.headDim };
  const inner = plain(config.nInner, widths.inner);
  const linear = (name: string, matrix: Linear, input: Spread, output: Spread): [string, Place][] => [
    [`${name}.weight`, { kind: 'matrix', matrix, lines: 'columns', spreadLines: input, spreadLine: output }],
    [`${name}.bias`, vectorPlace(matrix.bias, output)],
  ];
  return new Map([
    ['wte.weight', vocabularyPlace(wte, config)],
    ['wpe.weight', vectorPlace(wpe, C)],
    ...h.flatMap(({ ln_1, attn, ln_2, mlp }, i) => [
      ...normPlaces(`h.${i}.ln_1`, ln_1, C),
      ...linear(`h.${i}.attn.c_attn`, attn.c_attn, C, heads),
      ...linear(`h.${i}.attn.c_proj`, attn.c_proj, heads, C),
      ...normPlaces(`h.${i}.ln_2`, ln_2, C),
      ...linear(`h.${i}.mlp.c_fc`, mlp.c_fc, C, inner),
      ...linear(`h.${i}.mlp.c_proj`, mlp.c_proj, inner, C),
    ]),
    ...normPlaces('ln_f', ln_f, C),
  ]);
}
