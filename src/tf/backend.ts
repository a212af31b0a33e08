// Loads TF.js on one of its backends: the native one, or plain JavaScript. Uploads a model's weights to it and returns
// them as an engine. The threads are settled first, because TensorFlow reads them only once, when its library loads.
// Knows nothing of text, nor of where weights come from.

import { createRequire } from 'node:module';
import util from 'node:util';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { BackendName } from '../backends.js';
import type { Engine } from '../engine/engine.js';
import { errorMessage, KvgenError } from '../errors.js';
import type { ModelConfig } from '../model/config.js';
import type { GptNeoConfig } from '../model/gpt-neo-config.js';
import type { GptNeoxConfig } from '../model/gpt-neox-config.js';
import type { Gpt2Config } from '../model/gpt2-config.js';
import type { LlamaConfig } from '../model/llama-config.js';
import { installedEngine, settleThreads, type ThreadChoice } from '../native/status.js';
import type { GenerateArgs } from '../settings.js';
import { readValues } from '../weights/tensor-values.js';
import type { NamedTensor } from '../weights/weight-file.js';
import { gptNeoModel } from './gpt-neo.js';
import { gptNeoxModel } from './gpt-neox.js';
import { gpt2Model } from './gpt2.js';
import { llamaModel } from './llama.js';
import { inputFirst } from './own-weights.js';
import { tf } from './tf.js';
import { TfEngine } from './tf-engine.js';
import type { TfModel } from './tf-model.js';

/** The backends of TF.js. */
export type TfBackendName = Exclude<BackendName, 'simd'>;

export interface Backend {
  readonly name: TfBackendName;
  /** The threads that work at the same time, as the environment set them when TensorFlow's library was loaded. */
  readonly threads: number;
  /** The folder of tfjs-node; undefined on the other backends. */
  readonly tfjsNodeDir?: string;
}

interface EngineOptions {
  /** auto: as a graph where the backend can capture one and it pays; eager: op by op; graph: always as a graph. */
  readonly engine: GenerateArgs['engine'];
  /** Called with the reason when an engine stays eager. */
  readonly onNote: (line: string) => void;
}

const require = createRequire(import.meta.url);

interface TfArchitecture {
  /** Makes the model of its tensors, and owns them from then on. */
  readonly make: (config: ModelConfig, tensors: ReadonlyMap<string, Tensor>) => TfModel;
  /** Turns what is stored into what is multiplied with, one tensor at a time, so that there are never two copies of a model. */
  readonly laid?: (name: string, stored: Tensor) => Tensor;
}

const llama: TfArchitecture = {
  make: (config, tensors) => llamaModel(config as LlamaConfig, tensors),
  laid: inputFirst,
};

/** The architectures, by their `model_type`. */
const FORWARD_PASSES: Readonly<Record<string, TfArchitecture>> = {
  gpt2: { make: (config, tensors) => gpt2Model(config as Gpt2Config, tensors) },
  gpt_neo: { make: (config, tensors) => gptNeoModel(config as GptNeoConfig, tensors), laid: inputFirst },
  gpt_neox: { make: (config, tensors) => gptNeoxModel(config as GptNeoxConfig, tensors), laid: inputFirst },
  llama,
  mistral: llama,
  qwen2: llama,
  qwen3: llama,
  smollm3: llama,
};

/**
 * Makes TF.js compute on a backend. The first call decides the threads of the whole process.
 * @throws KvgenError when the backend does not load
 */
export async function loadBackend(name: TfBackendName, threads: ThreadChoice): Promise<Backend> {
  tf.enableProdMode(); // otherwise the cpu backend recommends tfjs-node on stderr
  return name === 'node' ? loadNode(threads) : loadPlain();
}

/**
 * Makes an engine, and uploads the weights one by one as they are read. After an error no tensor is left.
 * @throws KvgenError when the backend cannot run that engine, or the engine cannot run that architecture
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
  const { make, laid } = architectureOf(config);
  const tensors = new Map<string, Tensor>();
  try {
    for await (const tensor of weights) {
      const stored = tf.tensor(await readValues(tensor), [...tensor.shape], 'float32');
      tensors.set(tensor.name, laid?.(tensor.name, stored) ?? stored);
    }
    const model = make(config, tensors);
    return engine === 'eager' || tfjsNodeDir === undefined
      ? new TfEngine(config, model, null)
      : new TfEngine(config, model, { tfjsNodeDir, shards: threads, always: engine === 'graph', onNote });
  } catch (error) {
    tf.dispose([...tensors.values()]);
    throw error;
  }
}

/** @throws KvgenError for one that has no forward pass here */
function architectureOf({ modelType }: ModelConfig): TfArchitecture {
  const found = FORWARD_PASSES[modelType];
  if (found === undefined) {
    throw new KvgenError(`the TensorFlow.js engine has no forward pass for model_type ${modelType}`);
  }
  return found;
}

export function tfjsVersion(): string {
  return tf.version_core;
}

/** The version that TensorFlow's native library reports; undefined on the other backends. */
export function tensorflowVersion(): string | undefined {
  const { binding } = tf.backend() as { binding?: { TF_Version?: string } };
  return binding?.TF_Version;
}

async function loadNode(choice: ThreadChoice): Promise<Backend> {
  const native = installedEngine();
  const threads = settleThreads(choice);
  restoreUtil();
  const { argv } = process;
  try {
    process.argv = argv.slice(0, 2); // node-pre-gyp would take kvgen's options for its own
    require(native.folder);
  } catch (error) {
    throw new KvgenError(
      `the native engine does not load (${errorMessage(error)}); run \`kvgen setup\`, or use --backend simd`,
    );
  } finally {
    process.argv = argv;
  }
  await tf.setBackend('tensorflow'); // another may have been chosen since it was loaded
  return { name: 'node', threads, tfjsNodeDir: native.folder };
}

/** tfjs-node 4.22.0 calls two old functions of `util`: Node 22 warns of them on stderr, and Node 23 lacks one. */
function restoreUtil(): void {
  const target = util as unknown as Record<string, unknown>;
  target.isNullOrUndefined = (value: unknown) => value === null || value === undefined;
  target.isArray = Array.isArray;
}

async function loadPlain(): Promise<Backend> {
  await import('@tensorflow/tfjs-backend-cpu');
  if (!(await tf.setBackend('cpu'))) {
    throw new KvgenError('the cpu backend does not start on this machine');
  }
  return { name: 'cpu', threads: 1 };
}
