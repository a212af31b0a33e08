// Runs a function of tensors once on tfjs-node, records every TensorFlow op it executes, and replays the
// recording as one native call: to TF.js what tf.function is to Python. Knows nothing of models.
// What the function reads becomes a placeholder when it is an input or a weight, and a constant when it was
// created inside: so nothing created inside may depend on an input's values or on sizes that vary.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Tensor } from '@tensorflow/tfjs-core';
import { type NodeBackend, nodeBackend } from './binding.js';
import { plainProducts } from './plain-products.js';
import { Recorder } from './recorder.js';
import { type AttributeTypes, type Edge, encodeSavedModel, type Graph } from './saved-model.js';
import { splitMatMuls } from './split-matmuls.js';
import { tf } from './tf.js';

/** A recorded function. `run` takes tensors in the order of capture and gives new ones, the caller's to dispose. */
export interface Captured {
  run(inputs: readonly Tensor[]): Tensor[];
  /** Frees the native graph. Safe to call twice. */
  dispose(): void;
}

export interface CaptureOptions {
  /** The folder of tfjs-node. */
  readonly tfjsNodeDir: string;
  /** Products with a weight are split into as many, which the executor runs side by side. */
  readonly shards: number;
  /** More than one token is going to meet the vocabulary matrix; see plain-products.ts. */
  readonly manyTokens?: boolean;
}

let recording = false;

/**
 * Captures `fn`, which must be synchronous and use TF.js ops only.
 * @param inputs tensors such as a run will bring: other values, and other sizes where `fn` reads none
 * @param weights tensors that `fn` reads and that stay the same; borrowed while the capture lives
 * @throws Error when something in it cannot be captured; the backend is then as it was
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

/** Makes a placeholder of a tensor. Uploads it now: while recording it would become a constant. */
function declare(tensor: Tensor, backend: NodeBackend, recorder: Recorder): Feed {
  const id = nativeId(backend, tensor);
  return { id, edge: recorder.placeholder(id, backend.tensorMap.get(tensor.dataId).dtype, tensor.shape) };
}

/** The passes over what was recorded: the same values, sooner. */
function optimized(graph: Graph, types: AttributeTypes, { shards, manyTokens }: CaptureOptions): Graph {
  return plainProducts(splitMatMuls(graph, shards, types), types, manyTokens);
}

/** Runs `fn` with the recorder in the binding's place, which is put back whatever happens. */
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

/** TensorFlow loads graphs from a folder only: a private one, gone again before any other code runs. */
function load(backend: NodeBackend, bytes: Uint8Array): number {
  const dir = mkdtempSync(join(tmpdir(), 'kvgen-'));
  try {
    writeFileSync(join(dir, 'saved_model.pb'), bytes, { mode: 0o600 });
    return backend.binding.loadSavedModel(dir, 'serve');
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
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
