// A tokenizer in a thread of its own, for what may take long: large files, long texts, patterns that nobody knows. The
// main thread stays free to see a signal, and ends the other when it aborts or the time is over. Knows nothing of how text
// becomes ids.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { errorMessage, KvgenError, shown } from '../errors.js';
import type { TokenizerFacts } from './build-tokenizer.js';
import type { Encoded } from './encoder.js';
import { endThread } from './ending-threads.js';
import { mainPath, sizeOf, type TokenizerFiles } from './tokenizer-files.js';

/** What the thread answers: first its facts, then ids for each text. */
export type Answer =
  | { readonly facts: TokenizerFacts }
  | { readonly ids: Int32Array; readonly unknown: string | undefined }
  | { readonly error: string };

/** Milliseconds that the thread has, at least and for each UTF-16 unit of the files and of a text. */
export interface TimeLimits {
  readonly files: readonly [least: number, perUnit: number];
  readonly text: readonly [least: number, perUnit: number];
}

/** Twenty times what is usual, since other work may have the machine. */
const USUAL_LIMITS: TimeLimits = { files: [10_000, 0.01], text: [2000, 0.02] };

/** The same relative path holds in src/ and in dist/: a worker needs compiled code. */
const WORKER = new URL('../../dist/text/tokenizer-worker.js', import.meta.url);

export class TokenizerThread {
  readonly #files: TokenizerFiles;
  readonly #limits: TimeLimits;
  #running: { readonly worker: Worker; readonly facts: Promise<TokenizerFacts> } | undefined;
  /** Resolves when the texts before are done: one at a time, so that each has its own time. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(files: TokenizerFiles, limits = USUAL_LIMITS) {
    this.#files = files;
    this.#limits = limits;
  }

  /** Starts the thread, unless it runs. @throws KvgenError for wrong files; what `signal` aborts with */
  facts(signal?: AbortSignal): Promise<TokenizerFacts> {
    this.#running ??= this.#start(signal);
    return this.#running.facts;
  }

  /** @throws KvgenError where the text has no ids, or they take too long; what `signal` aborts with */
  encode(text: string, signal?: AbortSignal): Promise<Encoded> {
    const encoded = this.#turn.then(() => this.#encode(text, signal));
    this.#turn = encoded.catch(() => {});
    return encoded;
  }

  /** Ends the thread. It starts again when it is needed. */
  stop(): void {
    if (this.#running !== undefined) {
      endThread(this.#running.worker);
    }
    this.#running = undefined;
  }

  #start(signal: AbortSignal | undefined) {
    const worker = new Worker(WORKER, { workerData: this.#files, execArgv: [] });
    worker.on('error', () => {}); // told to whoever waits for an answer
    worker.once('exit', () => {
      this.#running = this.#running?.worker === worker ? undefined : this.#running;
    });
    const facts = this.#answer(worker, 'reading it', msFor(this.#limits.files, sizeOf(this.#files)), signal).then(
      (answer) => {
        return (answer as { facts: TokenizerFacts }).facts;
      },
    );
    facts.catch(() => this.stop());
    return { worker, facts };
  }

  async #encode(text: string, signal: AbortSignal | undefined): Promise<Encoded> {
    signal?.throwIfAborted();
    const { risky } = await this.facts(signal);
    const { worker } = this.#running as { worker: Worker };
    worker.postMessage(text);
    const what = `a text of ${text.length} characters${withPatterns(risky)}`;
    const answer = await this.#answer(worker, what, msFor(this.#limits.text, text.length), signal);
    const { ids, unknown } = answer as { ids: Int32Array; unknown: string | undefined };
    return { ids: Array.from(ids), unknown };
  }

  /** The thread's next answer; it keeps the process alive only while one is awaited. What goes wrong here ends it. */
  async #answer(worker: Worker, what: string, ms: number, signal: AbortSignal | undefined): Promise<Answer> {
    const over = AbortSignal.timeout(ms);
    const settled = new AbortController();
    const until = { signal: AbortSignal.any([over, settled.signal, ...(signal === undefined ? [] : [signal])]) };
    const ended = async (): Promise<[Answer]> => {
      await once(worker, 'exit', until);
      throw new Error('its thread has ended');
    };
    worker.ref();
    let answer: Answer;
    try {
      [answer] = (await Promise.race([once(worker, 'message', until), ended()])) as [Answer];
    } catch (error) {
      this.stop();
      signal?.throwIfAborted();
      const problem = over.aborted ? `takes longer than ${(ms / 1000).toFixed(0)} s` : `failed: ${errorMessage(error)}`;
      throw this.#problem(`${what} ${problem}`);
    } finally {
      settled.abort();
      if (this.#running?.worker === worker) {
        worker.unref();
      }
    }
    if ('error' in answer) {
      throw new KvgenError(answer.error);
    }
    return answer;
  }

  #problem(what: string): KvgenError {
    return new KvgenError(`${mainPath(this.#files)}: ${what}; use the tokenizer of another folder`);
  }
}

function msFor([least, perUnit]: readonly [number, number], units: number): number {
  return Math.ceil(least + perUnit * units);
}

function withPatterns(patterns: readonly string[]): string {
  return patterns.length === 0 ? '' : ` with the pattern ${patterns.map((pattern) => shown(pattern)).join(' or ')}`;
}
