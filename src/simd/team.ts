// The threads of an engine. The main thread starts the others, gives all of them a job at a time, and does its own part
// of it. Between jobs the others spin for a moment and then sleep, so an engine that waits costs nothing.

import { Worker } from 'node:worker_threads';
import { errorMessage, KvgenError } from '../errors.js';
import {
  announceFailure,
  BARRIER,
  JOB,
  JOB_WORDS,
  MAX_TOKENS,
  MESSAGE,
  MESSAGE_BYTES,
  ROUND,
  WANTED,
} from './control.js';
import { doJob, type Job, stopJob } from './jobs.js';
import { instantiate } from './kernels.js';
import type { LinearMemory } from './linear-memory.js';
import type { SimdModel } from './simd-model.js';
import type { Thread } from './thread.js';
import type { WorkerData } from './worker.js';

/** The same relative path holds in src/ and in dist/: a worker needs compiled code. */
const WORKER = new URL('../../dist/simd/worker.js', import.meta.url);

export class Team {
  readonly #memory: LinearMemory;
  readonly #model: SimdModel;
  /** The main thread, and how many work with it: none until they have started. */
  #thread: Thread;
  readonly #workers: readonly Worker[];
  readonly #ready: Promise<unknown>;
  readonly #job: Uint32Array;
  readonly #wanted: Uint32Array;
  #round = 0;
  #stopped = false;

  /** Starts `count` − 1 workers. Until `ready`, the main thread does every job alone. */
  constructor(module: WebAssembly.Module, memory: LinearMemory, model: SimdModel, count: number) {
    this.#memory = memory;
    this.#model = model;
    this.#thread = { kernels: instantiate(module, memory.memory), index: 0, count: 1, barrier: BARRIER };
    this.#job = memory.words(JOB, JOB_WORDS);
    this.#wanted = memory.words(WANTED, MAX_TOKENS);
    this.#workers = Array.from({ length: count - 1 }, (_, i) => {
      const workerData: WorkerData = { module, memory: memory.memory, model, index: i + 1, count };
      const worker = new Worker(WORKER, { workerData, execArgv: [] });
      worker.once('exit', () => announceFailure(memory.memory)); // nobody is to wait for it
      return worker;
    });
    this.#ready = Promise.all(this.#workers.map(started));
    this.#ready.catch(() => {}); // whoever waits for it is told
  }

  /** How many work in the end. */
  get threads(): number {
    return this.#workers.length + 1;
  }

  /** Resolves when all threads work. @throws KvgenError when one does not start */
  async ready(): Promise<void> {
    await this.#ready;
    this.#thread = { ...this.#thread, count: this.threads };
  }

  /**
   * Does a job on all threads, and returns when it is done.
   * @throws KvgenError when a thread fails; then the team is of no use any more
   */
  run(job: Job): void {
    if (this.#stopped) {
      throw new KvgenError('the simd engine has been disposed: open the model again');
    }
    this.#job.set(job);
    try {
      if (this.#thread.count > 1) {
        this.#next();
      }
      doJob(this.#model, this.#thread, this.#job, this.#wanted);
    } catch (error) {
      const reason = this.#failure() ?? errorMessage(error);
      announceFailure(this.#memory.memory);
      throw new KvgenError(`the simd engine failed: ${reason}; try --threads 1, or another --backend`);
    }
  }

  /** Ends all workers. Safe to call twice. */
  stop(): void {
    this.#stopped = true;
    this.#job.set(stopJob);
    this.#next();
    for (const worker of this.#workers) {
      worker.unref();
      void worker.terminate();
    }
  }

  #next(): void {
    this.#round++;
    this.#thread.kernels.set(BARRIER, ROUND, this.#round);
  }

  /** What the thread that failed said; undefined: none has. */
  #failure(): string | undefined {
    const [length = 0] = this.#memory.words(MESSAGE, 1);
    const bytes = this.#memory.bytes(MESSAGE + 4, MESSAGE_BYTES).slice(0, length);
    return length === 0 ? undefined : new TextDecoder().decode(bytes);
  }
}

/** From then on the worker does not keep the process alive. */
function started(worker: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.once('message', () => {
      worker.unref();
      resolve();
    });
    worker.once('error', (error) => {
      reject(new KvgenError(`a thread of the simd engine does not start (${errorMessage(error)}); try --threads 1`));
    });
  });
}
