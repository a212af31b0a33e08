// One text as it grows: its ids, what of them the model sees, its limits, its clock, and the rule by which it stops. What
// the loop over one sequence and the loop over many have in common. Runs nothing itself.

import type { KvCache } from '../engine/kv-cache.js';
import { bytesPerPosition, type ModelConfig } from '../model/config.js';
import type { Sampler } from '../sampling/sampler.js';

export type FinishReason = 'stop' | 'length' | 'context' | 'abort';

export interface SequenceOptions {
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
  /** Asked after each id: has its text come to an end? */
  readonly isStopped?: (() => boolean) | undefined;
  /** Keeps the prompt's keys and values for other runs; used where `cache` is true. */
  readonly promptCache?: PromptCache | undefined;
  /** Told the logits that follow each id of the prompt, in order; the prompt is then run whole. */
  readonly onPromptLogits?: ((logits: Float32Array) => void) | undefined;
  /** After each prefill chunk: ids run so far, and ids in all. */
  readonly onPrefill?: ((done: number, total: number) => void) | undefined;
}

/** Keys and values of prompts that were run before: asked before prefill, and told after it. */
export interface PromptCache {
  /** What is known of a beginning of these ids, if that is more than `known` of them (default: none). */
  restore(promptIds: readonly number[], known?: number): Restored | null;
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
  /** Ids at the beginning that were known. */
  readonly reused: number;
  /** What it took to run the others, in milliseconds. */
  readonly computeMs: number;
}

/** What was measured so far. Times in milliseconds; null: that point was not reached. */
export interface SequenceStats {
  readonly generationTokens: number;
  /** From the start of the process to the start of its prefill. */
  readonly loadMs: number;
  /** Prefill. */
  readonly promptMs: number | null;
  /** Tokens at the beginning of the prompt that were not run, since their keys and values were known. */
  readonly reusedTokens: number;
  /** From the start of prefill to the first token. */
  readonly firstTokenMs: number | null;
  /** From the first to the last token. */
  readonly decodeMs: number | null;
  readonly cachePositions: number;
  readonly cacheBytes: number;
  /** Tensors alive after the first and after the last token. */
  readonly numTensors: readonly [number, number] | null;
}

/** An id, and what was measured up to it. */
export interface GeneratedId {
  readonly id: number;
  readonly stats: SequenceStats;
}

/** How a text ended, and what was measured in all. */
export interface Ending {
  readonly finishReason: FinishReason;
  readonly stats: SequenceStats;
}

export class Sequence {
  /** Prompt first. */
  readonly ids: number[];
  readonly options: SequenceOptions;
  readonly #promptLength: number;
  /** What the model sees: all ids, or head and tail of them after a reprefill. */
  #window: number[];
  #stats: SequenceStats;
  readonly #bytesPerPosition: number;

  constructor(config: ModelConfig, promptIds: readonly number[], options: SequenceOptions) {
    this.ids = [...promptIds];
    this.#window = [...promptIds];
    this.#promptLength = promptIds.length;
    this.#bytesPerPosition = bytesPerPosition(config);
    this.options = options;
    this.#stats = { ...NOTHING_MEASURED, loadMs: performance.now() }; // which counts from the start of the process
  }

  get window(): readonly number[] {
    return this.#window;
  }

  get full(): boolean {
    return this.#window.length >= this.options.nCtx;
  }

  get aborted(): boolean {
    return this.options.signal?.aborted ?? false;
  }

  get stats(): SequenceStats {
    return this.#stats;
  }

  /** Decode steps that it may still ask for. */
  get stepsLeft(): number {
    return this.options.maxTokens - this.#stats.generationTokens - 1;
  }

  /**
   * The stop rule: the next id, or why there is none.
   * @param logits null: the last pass was not run, since the signal aborted
   * @param numTensors alive now
   */
  choose(logits: Float32Array | null, sampler: Sampler, numTensors: number): GeneratedId | FinishReason {
    const { maxTokens, stopIds } = this.options;
    if (logits === null || this.aborted) {
      return 'abort';
    }
    if (this.#stats.generationTokens >= maxTokens) {
      return 'length';
    }
    const id = sampler(logits, this.ids);
    if (stopIds.includes(id)) {
      return 'stop';
    }
    this.#accept(id, numTensors);
    return { id, stats: this.#stats };
  }

  /** The stop rule behind its newest id: why it ends there; null: it goes on. */
  get end(): FinishReason | null {
    if (this.options.isStopped?.()) {
      return 'stop';
    }
    if (this.#stats.generationTokens >= this.options.maxTokens) {
      return 'length';
    }
    return this.full && this.options.onFull === 'stop' ? 'context' : null;
  }

  ending(finishReason: FinishReason): Ending {
    return { finishReason, stats: this.#stats };
  }

  /**
   * Prefill has come to its end.
   * @param reusedTokens that were not run
   * @param done false: it was aborted
   */
  prefilled(reusedTokens: number, done: boolean): void {
    this.#stats = { ...this.#stats, reusedTokens, promptMs: done ? this.#elapsed : null };
  }

  /** A pass has been run. @param positions that a cache of its own holds now; 0: it has none */
  ran(positions: number): void {
    this.#stats = {
      ...this.#stats,
      cachePositions: positions,
      cacheBytes: positions * this.#bytesPerPosition,
    };
  }

  /** Keeps head and tail: GPT-2's positions are inside the cached keys, so the only exact way on is to run these anew. */
  shorten(): void {
    const { nCtx } = this.options;
    const head = this.ids.slice(0, Math.min(this.#promptLength, Math.floor(nCtx / 4)));
    this.#window = [...head, ...this.ids.slice(-Math.max(1, Math.floor(nCtx / 2)))];
  }

  /** Milliseconds since it began. */
  get #elapsed(): number {
    return performance.now() - this.#stats.loadMs;
  }

  #accept(id: number, numTensors: number): void {
    this.ids.push(id);
    this.#window.push(id);
    const now = this.#elapsed;
    const { firstTokenMs, numTensors: before, generationTokens } = this.#stats;
    this.#stats = {
      ...this.#stats,
      generationTokens: generationTokens + 1,
      firstTokenMs: firstTokenMs ?? now,
      decodeMs: now - (firstTokenMs ?? now),
      numTensors: [before?.[0] ?? numTensors, numTensors],
    };
  }
}

/** Of a sequence that has not begun. */
export const NOTHING_MEASURED: SequenceStats = {
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
