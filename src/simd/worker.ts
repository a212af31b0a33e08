// A thread beside the main one: waits for jobs and does its part of each, until it is told to stop or a thread fails.

import { parentPort, workerData } from 'node:worker_threads';
import { errorMessage } from '../errors.js';
import {
  announceFailure,
  BARRIER,
  hasFailed,
  JOB,
  JOB_WORDS,
  MAX_TOKENS,
  MESSAGE,
  MESSAGE_BYTES,
  ROUND,
  WANTED,
} from './control.js';
import { doJob } from './jobs.js';
import { instantiate } from './kernels.js';
import type { SimdModel } from './simd-model.js';
import type { Thread } from './thread.js';

export interface WorkerData {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly model: SimdModel;
  readonly index: number;
  readonly count: number;
}

/** Loads of the round before a thread sleeps: some tenths of a millisecond, which is longer than sampling takes. */
const SPINS = 300_000;

const { module, memory, model, index, count } = workerData as WorkerData;
const kernels = instantiate(module, memory);
const thread: Thread = { kernels, index, count, barrier: BARRIER };
const job = new Uint32Array(memory.buffer, JOB, JOB_WORDS);
const wanted = new Uint32Array(memory.buffer, WANTED, MAX_TOKENS);

parentPort?.postMessage('ready');
try {
  work();
} catch (error) {
  fail(errorMessage(error));
}

function work(): void {
  const round = new Int32Array(memory.buffer, ROUND, 1);
  for (let seen = 0; ; ) {
    kernels.waitForChange(BARRIER, ROUND, seen, SPINS);
    seen = Atomics.load(round, 0);
    if (hasFailed(memory) || !doJob(model, thread, job, wanted)) {
      return;
    }
  }
}

/** Says why, unless another thread was faster. */
function fail(message: string): void {
  if (!hasFailed(memory)) {
    const bytes = new TextEncoder().encode(message).subarray(0, MESSAGE_BYTES);
    new Uint8Array(memory.buffer, MESSAGE + 4, MESSAGE_BYTES).set(bytes);
    new Uint32Array(memory.buffer, MESSAGE, 1)[0] = bytes.length;
  }
  announceFailure(memory);
}
