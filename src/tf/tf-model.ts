// What a forward pass on TF.js takes and returns, whatever the architecture. Types only.
//
// Shapes: B sequences of T new tokens each, N wanted tokens, V = vocabSize. The past of a layer comes in segments, so
// that appending a token need not copy all keys and values: S is the length of one segment.

import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';

/** The keys and values of one segment in one layer. */
export interface KeyValue {
  readonly k: Tensor4D; // [B, nKvHead, S, headDim]
  readonly v: Tensor4D; // [B, nKvHead, S, headDim]
}

/** The past of one layer: segments in the order of their tokens. Each may be empty, and there may be none. */
export type Past = readonly KeyValue[];

/** The inputs of a forward pass. All are tensors, so that one recording serves every length. */
export interface ForwardInputs {
  readonly ids: Tensor2D; // [B, T] int32, each below V
  readonly positions: Tensor2D; // [B, T] int32, each below nPositions
  readonly bias: Tensor2D; // [T, S], added to the scores of the last segment, new tokens included; see causalBias
  readonly padding: Tensor4D | null; // [B, 1, 1, S], added to the scores of the segment before; null: no padding
  readonly windows: WindowBias | null; // null: no layer has a window
  readonly wanted: Tensor1D; // [N] int32, the rows of [B·T, C] whose logits are wanted
  /** Called layer by layer with what each head takes from each position: [B, nHead, T, positions of all segments], lent. */
  readonly onWeights?: ((weights: Tensor4D) => void) | undefined;
}

/** In place of `bias`, and besides `padding`, in layers where a token sees the newest positions alone. */
export interface WindowBias {
  readonly bias: Tensor2D; // [T, S], of the last segment
  readonly before: Tensor2D; // [T, S], of the segment before
}

export interface ForwardResult {
  readonly logits: Tensor2D; // [N, V]
  readonly presents: readonly KeyValue[]; // one for each layer: the last segment with the new tokens appended
}

/** The weights of a model with its forward pass. */
export interface TfModel {
  /** Each weight once. */
  readonly parameters: readonly Tensor[];
  /** Positions that a token sees in layers with a window, itself included; 0: no layer has one. */
  readonly window: number;
  /**
   * Runs T new tokens of each sequence.
   * @param past one for each layer; null: there are no tokens before
   * @returns tensors that the caller disposes
   */
  forward(inputs: ForwardInputs, past: readonly Past[] | null): ForwardResult;
}
