// One text as it grows: its ids, what of them the model sees, its limits and its clock. What the loop over one
// sequence and the loop over many have in common. Knows nothing of tensors or of how ids are chosen.

import type { KvCache } from '../tf/tensor-cache.js';

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

/** The ids of a text, prompt first. */
export class Sequence {
  readonly ids: number[];
  readonly options: GenerateOptions;
  readonly stats: GenerateStats;
  readonly #promptLength: number;
  readonly #start = performance.now();
  /** What the model sees: all ids, or head and tail of them after a reprefill. */
  #window: number[];

  /** @param stats filled while it grows */
  constructor(promptIds: readonly number[], options: GenerateOptions, stats: GenerateStats) {
    this.ids = [...promptIds];
    this.#window = [...promptIds];
    this.#promptLength = promptIds.length;
    this.options = options;
    this.stats = stats;
    stats.loadMs = this.#start; // performance.now() counts from the start of the process
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

  /** Why it ends before another id; null: it goes on. */
  get end(): FinishReason | null {
    if (this.stats.generationTokens >= this.options.maxTokens) {
      return 'length';
    }
    return this.full && this.options.onFull === 'stop' ? 'context' : null;
  }

  /** Milliseconds since it began. */
  get elapsed(): number {
    return performance.now() - this.#start;
  }

  /** @param numTensors alive now */
  accept(id: number, numTensors: number): void {
    this.ids.push(id);
    this.#window.push(id);
    const { stats } = this;
    const now = this.elapsed;
    stats.firstTokenMs ??= now;
    stats.decodeMs = now - stats.firstTokenMs;
    stats.numTensors = [stats.numTensors?.[0] ?? numTensors, numTensors];
    stats.generationTokens++;
  }

  /** Keeps head and tail: GPT-2's positions are inside the cached keys, so the only exact way on is to run these anew. */
  shorten(): void {
    const { nCtx } = this.options;
    const head = this.ids.slice(0, Math.min(this.#promptLength, Math.floor(nCtx / 4)));
    this.#window = [...head, ...this.ids.slice(-Math.max(1, Math.floor(nCtx / 2)))];
  }
}
