// What every forward pass on TF.js takes and gives, whatever the architecture. Types alone.
//
// Shapes: B sequences, T new tokens each, V = vocabSize. The past of a layer comes in segments of any length, so that
// new positions need not be copied behind all old ones: S is the length of one segment.

import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';

/** Keys and values of some tokens in one layer. */
export interface KeyValue {
  readonly k: Tensor4D; // [B, nKvHead, S, headDim]
  readonly v: Tensor4D; // [B, nKvHead, S, headDim]
}

/** One layer's past: segments in the order of their tokens, or none; each may be empty. */
export type Past = readonly KeyValue[];

/** What a forward pass is told about its tokens, all as tensors: so one recording of it serves every length. */
export interface ForwardInputs {
  readonly ids: Tensor2D; // [B, T] int32, each below V
  readonly positions: Tensor2D; // [B, T] int32, each below nPositions
  readonly bias: Tensor2D; // [T, S], added to the scores of the newest segment; see causalBias
  /** [B, 1, 1, S], added to the scores of the segment before it, where sequences are of unequal length; else null. */
  readonly padding: Tensor4D | null;
  readonly wanted: Tensor1D; // [N] int32, the rows of [B·T, C] whose logits are asked for
}

export interface ForwardResult {
  readonly logits: Tensor2D; // [N, V]
  readonly presents: readonly KeyValue[]; // one a layer: the last segment of the past, and the new tokens
}

/** The weights of a model with its forward pass. */
export interface TfModel {
  /** Each weight once. */
  readonly parameters: readonly Tensor[];
  /**
   * Runs T new tokens of each sequence.
   * @param past one a layer; null when there are no tokens before
   * @returns the caller disposes both
   */
  forward(inputs: ForwardInputs, past: readonly Past[] | null): ForwardResult;
}
