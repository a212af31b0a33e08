// A thread beside the main one: waits for jobs and does its part of each, until it is told to stop or a thread fails.

import { parentPort, workerData } from 'node:worker_threads';
import { errorMessage } from '../errors.js';
import { BARRIER, FAILED, JOB, JOB_WORDS, MESSAGE, MESSAGE_BYTES, ROUND, WANTED } from './control.js';
import { MAX_TOKENS } from './gpt2-plan.js';
import { doJob } from './jobs.js';
import { instantiate, type Kernels } from './kernels.js';
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
  fail(kernels, errorMessage(error));
}

function work(): void {
  const round = new Int32Array(memory.buffer, ROUND, 1);
  let seen = 0;
  do {
    kernels.waitForChange(BARRIER, ROUND, seen, SPINS);
    seen = Atomics.load(round, 0);
  } while (doJob(model, thread, job, wanted));
}

/** Says why, unless another thread was faster, and wakes all who wait. */
function fail({ set }: Kernels, message: string): void {
  const failed = new Int32Array(memory.buffer, FAILED, 1);
  if (Atomics.load(failed, 0) === 0) {
    const bytes = new TextEncoder().encode(message).subarray(0, MESSAGE_BYTES);
    new Uint8Array(memory.buffer, MESSAGE + 4, MESSAGE_BYTES).set(bytes);
    new Uint32Array(memory.buffer, MESSAGE, 1)[0] = bytes.length;
  }
  set(BARRIER, FAILED, 1);
}
