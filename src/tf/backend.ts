// Loads TF.js and picks the backend, the native one where it is installed, else WebAssembly; then puts a model's weights
// on it, behind an engine. Environment variables that TensorFlow reads once are set here, before its library loads.
// Knows nothing of text, nor of where weights come from.

import { createRequire } from 'node:module';
import util from 'node:util';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { Engine } from '../engine/engine.js';
import { errorMessage, KvgenError, UsageError } from '../errors.js';
import type { ModelConfig } from '../model/config.js';
import type { Gpt2Config } from '../model/gpt2-config.js';
import { settleThreads, status, type ThreadChoice } from '../native/status.js';
import type { BackendName } from '../settings.js';
import type { NamedTensor } from '../weights/weight-file.js';
import { gpt2Model } from './gpt2.js';
import { tf } from './tf.js';
import { TfEngine } from './tf-engine.js';
import type { TfModel } from './tf-model.js';

export interface Backend {
  readonly name: BackendName;
  /** Threads that work at the same time, as the environment had them when TensorFlow's library loaded. */
  readonly threads: number;
  /** tfjs-node's folder; undefined on the other backends. */
  readonly tfjsNodeDir?: string;
  /** Why it is not the native one, where that was not asked for. */
  readonly note?: string;
}

interface BackendOptions extends ThreadChoice {
  /** `auto` is node where the native engine is installed, else wasm. */
  readonly choice: BackendName | 'auto';
}

interface EngineOptions {
  /** auto: captured where the backend can and it pays; graph: always. */
  readonly engine: 'auto' | 'eager' | 'graph';
  /** Told why an engine stays eager. */
  readonly onNote: (line: string) => void;
}

const require = createRequire(import.meta.url);

/** The forward passes of this engine, by the `model_type` of the architecture that parsed the config. */
const MODELS: Readonly<Record<string, (config: ModelConfig, tensors: ReadonlyMap<string, Tensor>) => TfModel>> = {
  gpt2: (config, tensors) => gpt2Model(config as Gpt2Config, tensors),
};

/**
 * Makes a backend the current one of TF.js. The first call decides the threads of the process.
 * @throws KvgenError when the chosen backend does not load
 */
export async function loadBackend(options: BackendOptions): Promise<Backend> {
  const { choice, threads } = options;
  tf.enableProdMode(); // else the cpu backend advertises tfjs-node on stderr
  if (choice === 'node' || (choice === 'auto' && status().engine === 'native')) {
    return loadNode(options);
  }
  if (threads !== undefined && threads !== 1) {
    throw new UsageError(`--threads ${threads}: only the node backend has threads`);
  }
  const name = choice === 'auto' ? 'wasm' : choice;
  await loadPlain(name);
  const note = 'the native engine is not installed, WebAssembly is slower; `kvgen setup` installs it';
  return { name, threads: 1, ...(choice === 'auto' ? { note } : {}) };
}

/**
 * An engine of weights, which are uploaded one by one as they are read.
 * @throws KvgenError for an engine that this backend has not; what was uploaded by then is freed
 */
export async function openEngine(
  config: ModelConfig,
  weights: AsyncIterable<NamedTensor> | Iterable<NamedTensor>,
  { name, tfjsNodeDir, threads }: Backend,
  { engine, onNote }: EngineOptions,
): Promise<Engine> {
  if (engine === 'graph' && tfjsNodeDir === undefined) {
    throw new KvgenError(`--engine graph needs the node backend, found ${name}; run \`kvgen setup\``);
  }
  const tensors = new Map<string, Tensor>();
  try {
    for await (const { name, shape, values } of weights) {
      tensors.set(name, tf.tensor(values, [...shape], 'float32'));
    }
    const model = makeModel(config, tensors);
    return engine === 'eager' || tfjsNodeDir === undefined
      ? new TfEngine(config, model, null)
      : new TfEngine(config, model, { tfjsNodeDir, shards: threads, always: engine === 'graph', onNote });
  } catch (error) {
    tf.dispose([...tensors.values()]);
    throw error;
  }
}

/** The model of an architecture, which owns `tensors` from here on. */
function makeModel(config: ModelConfig, tensors: ReadonlyMap<string, Tensor>): TfModel {
  const make = MODELS[config.modelType];
  if (make === undefined) {
    throw new KvgenError(`the TensorFlow.js engine has no forward pass for model_type ${config.modelType}`);
  }
  return make(config, tensors);
}

export function tfjsVersion(): string {
  return tf.version_core;
}

/** TensorFlow's version as the native library says it; undefined on the other backends. */
export function tensorflowVersion(): string | undefined {
  const { binding } = tf.backend() as { binding?: { TF_Version?: string } };
  return binding?.TF_Version;
}

function loadNode(options: BackendOptions): Backend {
  const native = status();
  if (native.engine === 'none') {
    throw new KvgenError('the native engine is not installed; run `kvgen setup`, or use --backend wasm');
  }
  const threads = settleThreads(options);
  restoreUtil();
  const { argv } = process;
  try {
    process.argv = argv.slice(0, 2); // node-pre-gyp would take options of the same name from there
    require(native.folder);
  } catch (error) {
    throw new KvgenError(
      `the native engine does not load (${errorMessage(error)}); run \`kvgen setup\`, or use --backend wasm`,
    );
  } finally {
    process.argv = argv;
  }
  return { name: 'node', threads, tfjsNodeDir: native.folder };
}

/** tfjs-node 4.22.0 calls two functions of which Node 22 warns on stderr and Node 23 lacks one. */
function restoreUtil(): void {
  const target = util as unknown as Record<string, unknown>;
  target.isNullOrUndefined = (value: unknown) => value === null || value === undefined;
  target.isArray = Array.isArray;
}

async function loadPlain(name: 'wasm' | 'cpu'): Promise<void> {
  await (name === 'wasm' ? import('@tensorflow/tfjs-backend-wasm') : import('@tensorflow/tfjs-backend-cpu'));
  if (!(await tf.setBackend(name))) {
    throw new KvgenError(`the ${name} backend does not start on this machine`);
  }
}
