// Runs a function of tensors once on tfjs-node, records every TensorFlow op that it executes, and replays the
// recording as one native call: what tf.function does in Python. Knows nothing of models.
// An input or a weight becomes a placeholder of the graph. A tensor created inside the function becomes a constant,
// so it must not depend on the values of an input, or on a size that varies.

import { threadId } from 'node:worker_threads';
import type { Tensor } from '@tensorflow/tfjs-core';
import { type NodeBackend, nodeBackend } from './binding.js';
import { plainProducts } from './plain-products.js';
import { Recorder } from './recorder.js';
import { type AttributeTypes, type Edge, encodeSavedModel, type Graph } from './saved-model.js';
import { splitMatMuls } from './split-matmuls.js';
import { tf } from './tf.js';

/** A recorded function. */
export interface Captured {
  /** Takes its inputs in the order of the capture. The caller disposes the tensors that it returns. */
  run(inputs: readonly Tensor[]): Tensor[];
  /** Frees the native graph. Safe to call twice. */
  dispose(): void;
}

export interface CaptureOptions {
  readonly tfjsNodeDir: string;
  /** Each product with a large weight is split into this many parts, which TensorFlow runs side by side. */
  readonly shards: number;
  /** The logits of more than one token are computed; plain-products.ts says what that changes. */
  readonly manyTokens?: boolean;
}

let recording = false;

/**
 * Captures `fn`, which must be synchronous and must use TF.js ops only.
 * @param inputs examples of what `run` will be given: other values, and other sizes where `fn` does not read them
 * @param weights tensors that `fn` reads and that stay the same; they must live as long as the capture
 * @throws Error when `fn` does something that cannot be captured; the backend is then as it was before
 */
export function capture(
  fn: (inputs: readonly Tensor[]) => readonly Tensor[],
  inputs: readonly Tensor[],
  weights: readonly Tensor[],
  options: CaptureOptions,
): Captured {
  if (recording) {
    throw new Error('a capture cannot run inside another');
  }
  const backend = nodeBackend();
  const recorder = new Recorder(backend.binding);
  const inputFeeds = inputs.map((tensor) => declare(tensor, backend, recorder));
  const weightFeeds = weights.map((tensor) => declare(tensor, backend, recorder));
  const fetches = record(fn, inputs, backend, recorder);
  if ([...inputFeeds, ...weightFeeds].some(({ edge }) => fetches.includes(edge))) {
    throw new Error('an output that is an input or a weight itself cannot be captured');
  }
  const graph = optimized(recorder.graph(), backend.binding, options);
  const model = load(backend, encodeSavedModel(graph, backend.binding, options.tfjsNodeDir));
  const read = new Set(graph.nodes.flatMap((node) => node.inputs));
  const readWeights = weightFeeds.filter(({ edge }) => read.has(edge));
  return new Replay(backend, model, inputFeeds, readWeights, fetches);
}

interface Feed {
  readonly id: number;
  readonly edge: Edge;
}

/** Makes a placeholder for a tensor, and uploads it now: while recording it would become a constant. */
function declare(tensor: Tensor, backend: NodeBackend, recorder: Recorder): Feed {
  const id = nativeId(backend, tensor);
  return { id, edge: recorder.placeholder(id, backend.tensorMap.get(tensor.dataId).dtype, tensor.shape) };
}

/** The same graph, rewritten to run faster. */
function optimized(graph: Graph, types: AttributeTypes, { shards, manyTokens }: CaptureOptions): Graph {
  return plainProducts(splitMatMuls(graph, shards, types), types, manyTokens);
}

/** Runs `fn` with the recorder in place of the binding, and puts the binding back whatever happens. */
function record(
  fn: (inputs: readonly Tensor[]) => readonly Tensor[],
  inputs: readonly Tensor[],
  backend: NodeBackend,
  recorder: Recorder,
): Edge[] {
  const { binding } = backend;
  backend.binding = recorder.binding;
  recording = true;
  try {
    let edges: Edge[] = [];
    tf.tidy(() => {
      edges = fn(inputs).map((tensor) => recorder.edge(nativeId(backend, tensor)));
    });
    return edges;
  } finally {
    backend.binding = binding;
    recording = false;
  }
}

function nativeId(backend: NodeBackend, tensor: Tensor): number {
  return (backend.getInputTensorIds([tensor]) as [number])[0];
}

let captures = 0;

/**
 * TensorFlow loads a graph only from a folder. This one is in its own file system in memory, which ends with the process, so that
 * even a kill leaves nothing on a disk. No op removes it before (a few hundred kB), or replaces a file, and threads share it: each
 * capture has its own.
 */
function load(backend: NodeBackend, bytes: Uint8Array): number {
  const folder = `ram://kvgen-${threadId}-${captures++}`;
  tf.tidy(() => {
    const inputs = [tf.scalar(`${folder}/saved_model.pb`), tf.scalar(bytes, 'string')];
    backend.executeMultipleOutputs('WriteFile', [], inputs, 0);
  });
  return backend.binding.loadSavedModel(folder, 'serve');
}

class Replay implements Captured {
  readonly #backend: NodeBackend;
  #model: number | null;
  readonly #inputCount: number;
  readonly #weightIds: readonly number[];
  readonly #inputNames: string;
  readonly #outputNames: string;

  constructor(
    backend: NodeBackend,
    model: number,
    inputs: readonly Feed[],
    weights: readonly Feed[],
    fetches: readonly Edge[],
  ) {
    this.#backend = backend;
    this.#model = model;
    this.#inputCount = inputs.length;
    this.#weightIds = weights.map(({ id }) => id);
    this.#inputNames = [...inputs, ...weights].map(({ edge }) => `${edge}:0`).join();
    this.#outputNames = fetches.map((edge) => (edge.includes(':') ? edge : `${edge}:0`)).join();
  }

  run(inputs: readonly Tensor[]): Tensor[] {
    if (this.#model === null || inputs.length !== this.#inputCount) {
      throw new Error(`replay: expected ${this.#inputCount} inputs of a live capture, found ${inputs.length}`);
    }
    const ids = [...this.#backend.getInputTensorIds(inputs), ...this.#weightIds];
    const outputs = this.#backend.binding.runSavedModel(this.#model, ids, this.#inputNames, this.#outputNames);
    return outputs.map((output) => this.#backend.createOutputTensor(output));
  }

  dispose(): void {
    if (this.#model !== null) {
      this.#backend.binding.deleteSavedModel(this.#model);
      this.#model = null;
    }
  }
}
