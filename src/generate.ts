// The loop: prefill the prompt, then decode one token at a time, sampling each from the logits of the last.
// Yields ids. Knows nothing of text, streams or TF.js; the engine and the sampler are given.

import { setImmediate } from 'node:timers/promises';
import type { KvCache } from './cache/kv-cache.js';
import { type Engine, lastRow } from './engine/engine.js';
import type { Rows } from './engine/inputs.js';
import { everyRow, prefillChunks } from './engine/prefill.js';
import type { Sampler } from './sampling/sampler.js';

export type FinishReason = 'stop' | 'length' | 'context' | 'abort';

export interface GenerateOptions {
  /** Tokens to generate; Infinity: to the end of the context. 0: prefill only. */
  readonly maxTokens: number;
  /** Ids that the context holds; prompt and generated tokens together never exceed it. */
  readonly nCtx: number;
  /** Ids that end the text; such a token is neither yielded nor counted. */
  readonly stopIds: readonly number[];
  /** false: every step runs the same forward pass over all ids, with no past. */
  readonly cache: boolean;
  /** At the end of the context: stop, or keep the head and a recent tail and prefill them anew. */
  readonly onFull: 'stop' | 'reprefill';
  readonly signal?: AbortSignal | undefined;
  /** Keeps the prompt's keys and values for other runs; used where `cache` is true. */
  readonly promptCache?: PromptCache | undefined;
  /** Told the logits that follow each id of the prompt, in order; the prompt is then run whole. */
  readonly onPromptLogits?: ((logits: Float32Array) => void) | undefined;
  /** After each prefill chunk: ids run so far, and ids in all. */
  readonly onPrefill?: (done: number, total: number) => void;
}

/** Keys and values of prompts that were run before: asked before prefill, and told after it. */
export interface PromptCache {
  /** What is known of a beginning of these ids. */
  restore(promptIds: readonly number[]): Restored | null;
  /** Called once the prompt has been run; not where all of it was known. */
  keep(prefilled: Prefilled): void;
}

export interface Restored {
  /** Holds a beginning of the prompt; the caller's to dispose. */
  readonly cache: KvCache;
  /** What follows the prompt, if `cache` holds all of it. */
  readonly logits: Float32Array | null;
}

export interface Prefilled {
  readonly promptIds: readonly number[];
  /** Holds the prompt; borrowed. */
  readonly cache: KvCache;
  readonly logits: Float32Array;
  /** What it took to run the ids that were not known, in milliseconds. */
  readonly computeMs: number;
}

/** What a run measured. Times in milliseconds; null: that point was not reached. */
export interface GenerateStats {
  generationTokens: number;
  /** From the start of the process to the start of prefill. */
  loadMs: number;
  promptMs: number | null;
  /** Tokens at the beginning of the prompt that were not run, since their keys and values were known. */
  reusedTokens: number;
  /** From the start of prefill to the first token. */
  firstTokenMs: number | null;
  /** From the first to the last token. */
  decodeMs: number | null;
  cachePositions: number;
  cacheBytes: number;
  /** TF.js tensors alive after the first and after the last token. */
  numTensors: [number, number] | null;
}

export function newStats(): GenerateStats {
  return {
    generationTokens: 0,
    loadMs: 0,
    promptMs: null,
    reusedTokens: 0,
    firstTokenMs: null,
    decodeMs: null,
    cachePositions: 0,
    cacheBytes: 0,
    numTensors: null,
  };
}

/**
 * Generates ids until one of `stopIds`, `maxTokens`, the end of the context, or an abort.
 * @param promptIds 1 … nCtx − 1 ids
 * @param stats filled while it runs, also when the caller stops early
 * @yields each id as it is sampled
 * @returns why it ended
 */
export async function* generate(
  engine: Engine,
  sampler: Sampler,
  promptIds: readonly number[],
  options: GenerateOptions,
  stats: GenerateStats,
): AsyncGenerator<number, FinishReason> {
  const run = new Run(engine, promptIds, options, stats);
  try {
    let logits = await run.prefill();
    while (logits !== null) {
      if (run.ids.length - promptIds.length >= options.maxTokens) {
        return 'length';
      }
      const id = sampler(logits, run.ids);
      if (options.stopIds.includes(id)) {
        return 'stop';
      }
      run.accept(id);
      yield id;
      await setImmediate(); // native calls block the event loop: signals and closed pipes are noticed here
      if (stats.generationTokens >= options.maxTokens) {
        return 'length';
      }
      if (run.full && options.onFull === 'stop') {
        return 'context';
      }
      logits = await run.step();
    }
    return 'abort';
  } finally {
    run.dispose();
  }
}

/** One generation: its ids, its cache and its clock. */
class Run {
  /** Prompt and generated ids. */
  readonly ids: number[];
  readonly #engine: Engine;
  readonly #options: GenerateOptions;
  readonly #stats: GenerateStats;
  readonly #promptLength: number;
  readonly #start = performance.now();
  /** The one place that decides between cached and uncached: null is a pass over all ids, with no past. */
  #cache: KvCache | null;
  /** What the model sees: all ids, or head and tail of them after a reprefill. */
  #window: number[];

  constructor(engine: Engine, promptIds: readonly number[], options: GenerateOptions, stats: GenerateStats) {
    this.ids = [...promptIds];
    this.#window = [...promptIds];
    this.#promptLength = promptIds.length;
    this.#engine = engine;
    this.#options = options;
    this.#stats = stats;
    this.#cache = options.cache ? engine.newCache() : null;
    stats.loadMs = this.#start; // performance.now() counts from the start of the process
  }

  get full(): boolean {
    return this.#window.length >= this.#options.nCtx;
  }

  async prefill(): Promise<Float32Array | null> {
    const known = this.#restore();
    const start = performance.now();
    this.#prepare('prefill', this.ids.length - this.#stats.reusedTokens);
    const logits = known ?? (await this.#prefillWindow(this.#options.onPromptLogits));
    if (logits !== null) {
      const now = performance.now();
      this.#stats.promptMs = now - this.#start;
      this.#keep(known, logits, now - start);
    }
    return logits;
  }

  /** Runs the newest id; null when aborted. */
  async step(): Promise<Float32Array | null> {
    if (this.#options.signal?.aborted) {
      return null;
    }
    if (this.full) {
      return this.#reprefill();
    }
    this.#prepare('decode', this.#options.maxTokens - 1);
    const logits = this.#engine.forward(this.#cache === null ? this.#window : this.#window.slice(-1), this.#cache);
    this.#measureCache();
    return logits;
  }

  accept(id: number): void {
    this.ids.push(id);
    this.#window.push(id);
    const stats = this.#stats;
    const now = performance.now() - this.#start;
    const numTensors = this.#engine.numTensors();
    stats.firstTokenMs ??= now;
    stats.decodeMs = now - stats.firstTokenMs;
    stats.numTensors = [stats.numTensors?.[0] ?? numTensors, numTensors];
    stats.generationTokens++;
  }

  dispose(): void {
    this.#cache?.dispose();
  }

  /** Takes over what is known of the prompt. @returns the logits that follow it, if all of it is */
  #restore(): Float32Array | null {
    const { promptCache, onPromptLogits } = this.#options;
    const isAsked = this.#cache !== null && onPromptLogits === undefined;
    const restored = isAsked ? promptCache?.restore(this.ids) : undefined;
    if (restored === undefined || restored === null) {
      return null;
    }
    this.#cache?.dispose();
    this.#cache = restored.cache;
    this.#stats.reusedTokens = restored.cache.length;
    this.#measureCache();
    return restored.logits;
  }

  #keep(known: Float32Array | null, logits: Float32Array, computeMs: number): void {
    if (known === null && this.#cache !== null) {
      this.#options.promptCache?.keep({ promptIds: this.ids, cache: this.#cache, logits, computeMs });
    }
  }

  #prepare(phase: 'prefill' | 'decode', tokens: number): void {
    if (this.#cache !== null) {
      this.#engine.prepare?.(phase, tokens);
    }
  }

  /** GPT-2's positions are inside the cached keys, so the only exact way on is to prefill what is kept anew. */
  #reprefill(): Promise<Float32Array | null> {
    const { nCtx } = this.#options;
    const head = this.ids.slice(0, Math.min(this.#promptLength, Math.floor(nCtx / 4)));
    this.#window = [...head, ...this.ids.slice(-Math.max(1, Math.floor(nCtx / 2)))];
    this.#cache?.truncate(0);
    return this.#prefillWindow();
  }

  async #prefillWindow(onLogits?: (logits: Float32Array) => void): Promise<Float32Array | null> {
    const ids = this.#window.slice(this.#cache?.length ?? 0);
    const { vocabSize } = this.#engine.config;
    let logits: Float32Array | null = null;
    for (const rows of this.#passes(ids, onLogits !== undefined)) {
      await setImmediate();
      if (this.#options.signal?.aborted) {
        return null;
      }
      const values = this.#engine.forwardRows(rows, this.#cache);
      for (let i = 0; i < rows.wanted.length; i++) {
        logits = values.subarray(i * vocabSize, (i + 1) * vocabSize);
        onLogits?.(logits);
      }
      this.#measureCache();
      this.#options.onPrefill?.(this.#cache?.length ?? this.#window.length, this.#window.length);
    }
    return logits;
  }

  #passes(ids: readonly number[], every: boolean): Rows[] {
    if (every) {
      return everyRow(ids, this.#cache !== null);
    }
    return this.#cache === null ? [lastRow(ids)] : prefillChunks(ids).map(lastRow);
  }

  #measureCache(): void {
    this.#stats.cachePositions = this.#cache?.length ?? 0;
    this.#stats.cacheBytes = this.#cache?.byteSize ?? 0;
  }
}
