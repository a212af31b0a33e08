// One sequence: its ids, the window of them that the model sees, its limits, its measurements, and the rule by which it
// stops. Both loops, over one sequence and over many, use it. Runs no pass itself and knows nothing of text.

import type { KvCache } from '../engine/kv-cache.js';
import { bytesPerPosition, type ModelConfig } from '../model/config.js';
import type { Sampler } from '../sampling/sampler.js';
import type { PassCost } from './draft-plan.js';
import { type DraftCounts, type DraftOptions, Drafts } from './drafts.js';

export type FinishReason = 'stop' | 'length' | 'context' | 'abort';

export interface SequenceOptions {
  /** Tokens to generate; Infinity: to the end of the context. 0: prefill only. */
  readonly maxTokens: number;
  /** Ids that the context holds, prompt and generated ones together. */
  readonly nCtx: number;
  /** Ids that end the text; such an id is neither yielded nor counted. */
  readonly stopIds: readonly number[];
  /** false: every decode step runs all ids, with no past. */
  readonly cache: boolean;
  /** At the end of the context: stop, or keep the head and a recent tail and prefill these anew. */
  readonly onFull: 'stop' | 'reprefill';
  /** How ids are guessed, so that a pass checks several; undefined: not at all. Used only where `cache` is true. */
  readonly draft?: DraftOptions | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Asked after each id: does its text end here? */
  readonly isStopped?: (() => boolean) | undefined;
  /** Used only where `cache` is true. */
  readonly promptCache?: PromptCache | undefined;
  /** Receives the logits that follow each id of the prompt, in order; nothing of the prompt is then reused. */
  readonly onPromptLogits?: ((logits: Float32Array) => void) | undefined;
  /** Called after each prefill chunk, with ids run so far and ids in all. */
  readonly onPrefill?: ((done: number, total: number) => void) | undefined;
}

/** Keys and values of prompts that were run before. It is asked before prefill, and given the result after it. */
export interface PromptCache {
  /** The longest known beginning of these ids; null: no more than the first `known` of them (default: 0). */
  restore(promptIds: readonly number[], known?: number): Restored | null;
  /** Called after prefill, unless the whole prompt was known. */
  keep(prefilled: Prefilled): void;
  /** Called at the end of a sequence that ran more than its prompt; undefined then: what was generated is not kept. */
  readonly keepText?: ((ended: EndedText) => void) | undefined;
}

export interface Restored {
  /** Holds a beginning of the prompt; the caller's to dispose. */
  readonly cache: KvCache;
  /** Those that follow the whole prompt; null: `cache` holds only a part of it. */
  readonly logits: Float32Array | null;
  /** Where it was kept. */
  readonly source: ReuseSource;
}

/** Where keys and values were kept that need not be computed again. */
export type ReuseSource = 'memory' | 'disk';

export interface Prefilled {
  readonly promptIds: readonly number[];
  /** Holds the prompt; still the sequence's own. */
  readonly cache: KvCache;
  readonly logits: Float32Array;
  /** How many ids at the beginning were known. */
  readonly reused: number;
  /** Milliseconds that it took to run the others. */
  readonly computeMs: number;
}

/** A sequence that has ended: its prompt and what was generated, as far as that was run. */
export interface EndedText {
  /** Those whose keys and values the cache holds: not the last one that was generated, which no pass has run. */
  readonly ids: readonly number[];
  /** Holds this sequence alone; still the loop's own. */
  readonly cache: KvCache;
  readonly promptTokens: number;
  readonly stats: SequenceStats;
}

/** What was measured so far. Times are in milliseconds; null: that point was not reached. */
export interface SequenceStats {
  readonly generationTokens: number;
  /** From the start of the process to the start of prefill. */
  readonly loadMs: number;
  /** Prefill: the time of its own passes, also where others ran between them. */
  readonly promptMs: number | null;
  /** Tokens at the beginning of the prompt that needed no pass, since their keys and values were known. */
  readonly reusedTokens: number;
  /** Where these were kept; null: there were none. */
  readonly reusedFrom: ReuseSource | null;
  /** From the start of prefill to the first token. */
  readonly firstTokenMs: number | null;
  /** From the first to the last token. */
  readonly decodeMs: number | null;
  readonly cachePositions: number;
  readonly cacheBytes: number;
  /** Tensors alive after the first and after the last token. */
  readonly numTensors: readonly [number, number] | null;
  /** null: no ids were to be guessed. */
  readonly drafts: DraftCounts | null;
}

/** A generated id, and what was measured up to it. */
export interface GeneratedId {
  readonly id: number;
  readonly stats: SequenceStats;
}

/** Why a sequence ended, and what was measured in all. */
export interface Ending {
  readonly finishReason: FinishReason;
  readonly stats: SequenceStats;
}

export class Sequence {
  /** Prompt first. */
  readonly ids: number[];
  readonly options: SequenceOptions;
  /** null: no ids are guessed. */
  readonly drafts: Drafts | null;
  readonly #promptLength: number;
  /** The ids that the model sees: all, or after a reprefill their head and tail and what came since. */
  #window: number[];
  /** Changes as the sequence grows; whoever asks gets a copy. */
  readonly #measured: { -readonly [K in keyof SequenceStats]: SequenceStats[K] };
  readonly #bytesPerPosition: number;

  constructor(config: ModelConfig, promptIds: readonly number[], options: SequenceOptions) {
    this.ids = [...promptIds];
    this.#window = [...promptIds];
    this.#promptLength = promptIds.length;
    this.#bytesPerPosition = bytesPerPosition(config);
    this.options = options;
    this.drafts = options.draft === undefined || !options.cache ? null : new Drafts(options.draft);
    this.#measured = { ...NOTHING_MEASURED, loadMs: performance.now() }; // counts from the start of the process
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
    return { ...this.#measured, drafts: this.drafts?.counts ?? null };
  }

  /** Decode steps that may still follow. */
  get stepsLeft(): number {
    return this.options.maxTokens - this.#measured.generationTokens - 1;
  }

  /**
   * The stop rule before an id: chooses the next one, or says why there is none.
   * @param logits null: the last pass was not run, since the signal aborted
   * @param numTensors how many tensors are alive now
   */
  choose(logits: Float32Array | null, sampler: Sampler, numTensors: number): GeneratedId | FinishReason {
    const { maxTokens, stopIds } = this.options;
    if (logits === null || this.aborted) {
      return 'abort';
    }
    if (this.#measured.generationTokens >= maxTokens) {
      return 'length';
    }
    const id = sampler(logits, this.ids);
    if (stopIds.includes(id)) {
      return 'stop';
    }
    this.#accept(id, numTensors);
    return { id, stats: this.stats };
  }

  /** The stop rule after an id: why the sequence ends here; null: it goes on. */
  get end(): FinishReason | null {
    if (this.options.isStopped?.()) {
      return 'stop';
    }
    if (this.#measured.generationTokens >= this.options.maxTokens) {
      return 'length';
    }
    return this.full && this.options.onFull === 'stop' ? 'context' : null;
  }

  ending(finishReason: FinishReason): Ending {
    return { finishReason, stats: this.stats };
  }

  /**
   * The text as far as it was run; null: that is no more than the prompt, or not the text from its beginning on, since
   * the sequence was shortened.
   */
  ranText(): Omit<EndedText, 'cache'> | null {
    const { cachePositions: positions } = this.#measured;
    const isWhole = this.#window.length === this.ids.length;
    const promptTokens = this.#promptLength;
    return isWhole && positions > promptTokens
      ? { ids: this.ids.slice(0, positions), promptTokens, stats: this.stats }
      : null;
  }

  /** Called at the end of prefill. */
  prefilled({
    reusedTokens,
    reusedFrom,
    promptMs,
  }: Pick<SequenceStats, 'reusedTokens' | 'reusedFrom' | 'promptMs'>): void {
    this.#measured.reusedTokens = reusedTokens;
    this.#measured.reusedFrom = reusedFrom;
    this.#measured.promptMs = promptMs;
  }

  /** Called after a pass. @param positions how many of this sequence the cache holds now, a draft left out; 0: it is uncached */
  ran(positions: number): void {
    this.#measured.cachePositions = positions;
    this.#measured.cacheBytes = positions * this.#bytesPerPosition;
  }

  /** Guesses what may follow within all limits. @returns as `Drafts.guess` does; [] where nothing is to be guessed */
  guess(cost: PassCost, together: number): number[] {
    const room = Math.min(this.stepsLeft, this.options.nCtx - this.#window.length - 1);
    return this.drafts?.guess(this, room, cost, together) ?? [];
  }

  /** The logits that follow the newest id, where it was guessed and run before it was chosen; null: it must be run. */
  nextOfDraft(): Float32Array | null {
    const logits = this.drafts?.next() ?? null;
    if (logits !== null) {
      this.ran(this.#window.length);
    }
    return logits;
  }

  /** Frees what guesses. */
  dispose(): void {
    this.drafts?.dispose();
  }

  /** Keeps head and tail. GPT-2's cached keys contain their positions, so these ids must be run anew to stay exact. */
  shorten(): void {
    const { nCtx } = this.options;
    const head = this.ids.slice(0, Math.min(this.#promptLength, Math.floor(nCtx / 4)));
    this.#window = [...head, ...this.ids.slice(-Math.max(1, Math.floor(nCtx / 2)))];
  }

  /** Milliseconds since the start of prefill. */
  get #elapsed(): number {
    return performance.now() - this.#measured.loadMs;
  }

  #accept(id: number, numTensors: number): void {
    this.ids.push(id);
    this.#window.push(id);
    this.drafts?.chose(id);
    const now = this.#elapsed;
    const measured = this.#measured;
    measured.generationTokens++;
    measured.firstTokenMs ??= now;
    measured.decodeMs = now - measured.firstTokenMs;
    measured.numTensors = [measured.numTensors?.[0] ?? numTensors, numTensors];
  }
}

/** The measurements of a sequence that has not begun. */
export const NOTHING_MEASURED: SequenceStats = {
  generationTokens: 0,
  loadMs: 0,
  promptMs: null,
  reusedTokens: 0,
  reusedFrom: null,
  firstTokenMs: null,
  decodeMs: null,
  cachePositions: 0,
  cacheBytes: 0,
  numTensors: null,
  drafts: null,
};
