// The inner parts of tfjs-node that a capture needs: the native binding, and how a tensor is found by its native id.
// They are not its public interface: the names hold because tfjs-node is pinned to one version. Types, and one lookup.

import type { DataId, Tensor, TensorInfo } from '@tensorflow/tfjs-core';
import type { AttributeTypes, OpAttribute } from './saved-model.js';
import { tf } from './tf.js';

export interface TensorMetadata {
  readonly id: number;
  readonly shape: number[];
  readonly dtype: number;
}

export interface Binding extends AttributeTypes {
  createTensor(shape: number[], dtype: number, values: ArrayBufferView): number;
  executeOp(name: string, attributes: OpAttribute[], inputs: number[], numOutputs: number): TensorMetadata[];
  loadSavedModel(dir: string, tags: string): number;
  runSavedModel(id: number, inputs: number[], inputNames: string, outputNames: string): TensorMetadata[];
  deleteSavedModel(id: number): void;
}

export interface NodeBackend {
  binding: Binding;
  readonly tensorMap: { get(id: DataId): { readonly dtype: number } };
  /** The native ids of tensors; uploads those that are not yet there. */
  getInputTensorIds(tensors: readonly TensorInfo[]): number[];
  createOutputTensor(metadata: TensorMetadata): Tensor;
  executeMultipleOutputs(name: string, attributes: OpAttribute[], inputs: Tensor[], numOutputs: number): Tensor[];
}

/** @throws Error on a backend other than tfjs-node's */
export function nodeBackend(): NodeBackend {
  if (tf.getBackend() !== 'tensorflow') {
    throw new Error(`only tfjs-node can capture; the backend is ${tf.getBackend()}`);
  }
  return tf.backend() as unknown as NodeBackend;
}
