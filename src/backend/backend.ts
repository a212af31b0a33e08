// Loads TF.js and picks the backend: the native one where it is installed, else WebAssembly. Environment
// variables that TensorFlow reads once are set here, before its library loads.
// Knows nothing of models.

import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import util from 'node:util';
import * as tf from '@tensorflow/tfjs-core';
import { errorMessage, KvgenError, UsageError } from '../errors.js';
import { status } from '../native/status.js';

export const BACKENDS = ['node', 'wasm', 'cpu'] as const;
export type BackendName = (typeof BACKENDS)[number];

export interface Backend {
  readonly name: BackendName;
  /** Threads that one operation may use. */
  readonly threads: number;
  /** Why it is not the native one, where that was not asked for. */
  readonly note?: string;
}

const require = createRequire(import.meta.url);

/**
 * Makes a backend the current one of TF.js.
 * @param choice `auto` is node where the native engine is installed, else wasm
 * @param threads for the node backend only; undefined: TF_NUM_INTRAOP_THREADS or all cores
 * @throws KvgenError when the chosen backend does not load
 */
export async function loadBackend(choice: BackendName | 'auto', threads?: number): Promise<Backend> {
  tf.enableProdMode(); // else the cpu backend advertises tfjs-node on stderr
  if (choice === 'node' || (choice === 'auto' && status().engine === 'native')) {
    return loadNode(threads);
  }
  if (threads !== undefined && threads !== 1) {
    throw new UsageError(`--threads ${threads}: only the node backend has threads`);
  }
  const name = choice === 'auto' ? 'wasm' : choice;
  await loadPlain(name);
  const note = 'the native engine is not installed, WebAssembly is slower; `kvgen setup` installs it';
  return { name, threads: 1, ...(choice === 'auto' ? { note } : {}) };
}

/** TensorFlow's version as the native library says it; undefined on the other backends. */
export function tensorflowVersion(): string | undefined {
  const { binding } = tf.backend() as { binding?: { TF_Version?: string } };
  return binding?.TF_Version;
}

function loadNode(threads: number | undefined): Backend {
  const native = status();
  if (native.engine === 'none') {
    throw new KvgenError('the native engine is not installed; run `kvgen setup`, or use --backend wasm');
  }
  const count = setThreads(threads);
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
  restoreUtil();
  try {
    require(native.folder);
  } catch (error) {
    throw new KvgenError(
      `the native engine does not load (${errorMessage(error)}); run \`kvgen setup\`, or use --backend wasm`,
    );
  }
  return { name: 'node', threads: count };
}

function setThreads(threads: number | undefined): number {
  const fromEnvironment = Number(process.env.TF_NUM_INTRAOP_THREADS);
  const count = threads ?? (fromEnvironment > 0 ? fromEnvironment : availableParallelism());
  process.env.TF_NUM_INTRAOP_THREADS = String(count);
  if (threads !== undefined) {
    process.env.OMP_NUM_THREADS = String(threads);
  }
  return count;
}

/** tfjs-node 4.22.0 calls two functions that Node 23 removed. */
function restoreUtil(): void {
  const target = util as unknown as Record<string, unknown>;
  target.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
  target.isArray ??= Array.isArray;
}

async function loadPlain(name: 'wasm' | 'cpu'): Promise<void> {
  await (name === 'wasm' ? import('@tensorflow/tfjs-backend-wasm') : import('@tensorflow/tfjs-backend-cpu'));
  if (!(await tf.setBackend(name))) {
    throw new KvgenError(`the ${name} backend does not start on this machine`);
  }
}
