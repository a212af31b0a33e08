// What the WebAssembly engine asks of an architecture: where its weights lie, and its forward pass.

import type { Architecture, ModelConfig } from '../model/config.js';
import type { BlockShape } from './blocks.js';
import type { Pointer } from './kernels.js';
import type { MemoryPlan } from './linear-memory.js';
import type { Matrix, WeightKind } from './matrix.js';
import type { Thread } from './thread.js';

/** Where everything of a model lies. Plain numbers, since each thread gets a copy. */
export interface ModelPlan {
  /** The embedding, which gives the logits too unless there is a matrix for them. */
  readonly wte: Matrix; // [V, C]
  /** Where a pass leaves its logits. */
  readonly logits: Pointer; // [N, stride]
  readonly logitsStride: number;
}

/** A model as all threads know it. */
export interface SimdModel<P extends ModelPlan = ModelPlan, C extends ModelConfig = ModelConfig> {
  readonly config: C;
  readonly plan: P;
  readonly blocks: BlockShape;
}

/** The tokens that run together, of any sequences. */
export interface Tokens {
  readonly T: number;
  readonly ids: Pointer; // [T] int32
  readonly positions: Pointer; // [T] int32
  readonly tables: Pointer; // [T] addresses, each of a table of blocks
  readonly wanted: readonly number[]; // [N] the tokens whose logits are wanted
  readonly lm_head: Matrix; // [V, C]
  /** Room for scores: so many bytes for each thread, which suffice for the longest sequence (see kernels/attention.ts). */
  readonly scores: Pointer;
  readonly scoresBytes: number;
  /** Where what heads look at goes: [nLayer, nHead, T, columns], zeros before. 0: nobody asks. */
  readonly attention: Pointer;
  readonly columns: number;
}

/** Where it goes in one layer; 0: nowhere. */
export function weightsOf({ attention, columns, T }: Tokens, { nHead }: ModelConfig, layer: number): Pointer {
  return attention === 0 ? 0 : attention + 4 * layer * nHead * T * columns;
}

/** A thread's own room for scores. */
export function ownScores({ index }: Thread, { scores, scoresBytes }: Tokens): Pointer {
  return scores + index * scoresBytes;
}

/** Bytes for the scores of a token at one of so many positions, and of the one behind it. */
export function bytesOfScores(positions: number): number {
  return 4 * (2 * positions + 16);
}

/** How numbers are filled up: every `group` of them begin at a multiple of `padded`. */
export interface Spread {
  readonly group: number;
  readonly padded: number;
}

/** Where a stored tensor goes. */
export type Place =
  | { readonly kind: 'vector'; readonly at: Pointer; readonly spread: Spread }
  | {
      readonly kind: 'matrix';
      readonly matrix: Matrix;
      /** What a line of the stored tensor is: a row of the matrix, or a column. */
      readonly lines: 'rows' | 'columns';
      /** How the lines, and the numbers of a line, are filled up. */
      readonly spreadLines: Spread;
      readonly spreadLine: Spread;
    };

export interface SimdArchitecture {
  /** The names of its two vocabulary matrices. */
  readonly vocabulary: Architecture['vocabulary'];
  /** @param threads how many will run the pass */
  readonly plan: (plan: MemoryPlan, config: ModelConfig, kind: WeightKind, threads: number) => ModelPlan;
  /** The place of each tensor, by its name; the matrix of the logits has none until a folder has it. */
  readonly places: (plan: ModelPlan, config: ModelConfig) => ReadonlyMap<string, Place>;
  /** Numbers that are computed from the config, and their places. */
  readonly constants?: (plan: ModelPlan, config: ModelConfig) => readonly (readonly [Pointer, Float32Array])[];
  /** Called by every thread at once. The logits are there when all have returned. */
  readonly forward: (model: SimdModel, thread: Thread, tokens: Tokens) => void;
}
