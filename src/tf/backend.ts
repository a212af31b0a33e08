// Loads TF.js and picks the backend: the native one where it is installed, else WebAssembly. Environment
// variables that TensorFlow reads once are set here, before its library loads.
// Knows nothing of models.

import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import util from 'node:util';
import { errorMessage, KvgenError, UsageError } from '../errors.js';
import { status } from '../native/status.js';
import type { BackendName } from '../settings.js';
import { tf } from './tf.js';

export type { BackendName };

export interface Backend {
  readonly name: BackendName;
  /** Threads that work at the same time. */
  readonly threads: number;
  /** tfjs-node's folder; undefined on the other backends. */
  readonly tfjsNodeDir?: string;
  /** Why it is not the native one, where that was not asked for. */
  readonly note?: string;
}

export interface BackendOptions {
  /** `auto` is node where the native engine is installed, else wasm. */
  readonly choice: BackendName | 'auto';
  /** For the node backend only; undefined: all cores, or one for a small model. */
  readonly threads?: number | undefined;
  /** Bytes of the weights, which decide how threads are used. */
  readonly modelBytes: number;
  /** A captured graph is going to do the work: its ops run side by side, each on one thread. */
  readonly graph: boolean;
}

const require = createRequire(import.meta.url);
/** Below this size an op is done before a second thread has woken up. */
const SMALL_MODEL_BYTES = 64e6;

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
  const threads = setThreads(options);
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
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

/** One for a small model, of which no product is worth a second. */
export function defaultThreads(modelBytes: number): number {
  return modelBytes < SMALL_MODEL_BYTES ? 1 : availableParallelism();
}

/** Read once by TensorFlow, when its library loads; what the user has set stays. */
function setThreads({ threads, modelBytes, graph }: BackendOptions): number {
  const { env } = process;
  const count = threads ?? defaultThreads(modelBytes);
  env.TF_NUM_INTRAOP_THREADS ??= String(graph || modelBytes < SMALL_MODEL_BYTES ? 1 : count);
  env.TF_NUM_INTEROP_THREADS ??= String(count);
  env.OMP_NUM_THREADS ??= env.TF_NUM_INTRAOP_THREADS;
  // Off is the default on some processors; a signal during an eager product may then end the process.
  env.TF_ENABLE_ONEDNN_OPTS ??= '1';
  return count;
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
