// What the captured engine needs of tfjs-node's inside: the native binding, and how tensors map to its ids.
// tfjs-node is pinned to one version, so these names hold.

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
  /** Uploads what was not uploaded yet. */
  getInputTensorIds(tensors: readonly TensorInfo[]): number[];
  createOutputTensor(metadata: TensorMetadata): Tensor;
}

/** @throws Error on a backend other than tfjs-node's */
export function nodeBackend(): NodeBackend {
  if (tf.getBackend() !== 'tensorflow') {
    throw new Error(`only tfjs-node can capture; the backend is ${tf.getBackend()}`);
  }
  return tf.backend() as unknown as NodeBackend;
}
