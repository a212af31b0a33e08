// The prompt cache on disk: moves keys and values between the store's files and an engine's KV cache, and reports what
// was found and written. Knows nothing of text or of where the files are.

import type { Engine } from '../engine/engine.js';
import type { RowsDtype } from '../engine/kv-rows.js';
import type { Found, PromptStore } from '../store/prompts.js';
import type { EndedText, Prefilled, PromptCache, Restored } from './sequence.js';

export interface PromptCacheReport {
  /** How what is reused was stored; null: nothing is reused. */
  readonly reusedAs: RowsDtype | null;
  /** Milliseconds that prefill took for the reused tokens when they were saved, less those that loading took now. */
  readonly savedMs: number;
  readonly missReason: string | null;
  readonly firstDifference: Found['firstDifference'];
  /** Tokens whose keys and values were written to disk. */
  readonly writtenTokens: number;
}

export class SavedPrompts implements PromptCache {
  /** What `restore` found; null: it was not called yet. */
  report: PromptCacheReport | null = null;
  /** Is what is generated behind the prompt kept, too? */
  readonly keepsTexts: boolean;
  readonly #engine: Engine;
  readonly #store: PromptStore;
  readonly #words: string;
  #found: Found | null = null;
  /** What prefill of a token of this prompt takes, or took; null: not known. */
  #msPerToken: number | null = null;

  /** @param words the prompt's first words, which `kvgen cache ls` shows */
  constructor(engine: Engine, store: PromptStore, words: string, keepsTexts: boolean) {
    this.#engine = engine;
    this.#store = store;
    this.#words = words;
    this.keepsTexts = keepsTexts;
  }

  restore(promptIds: readonly number[], known = 0): Restored | null {
    const start = performance.now();
    const found = this.#store.find(promptIds);
    this.#found = found;
    const { missReason, firstDifference } = found;
    this.report = { reusedAs: null, savedMs: 0, missReason, firstDifference, writtenTokens: 0 };
    if (found.reused <= known) {
      if (known === 0) {
        this.#store.missed(found, promptIds.length);
      }
      return null; // else more was known in memory, so nothing was missed
    }
    const cache = this.#engine.newCache(found.rows);
    const savedMs = found.prefillMs - (performance.now() - start);
    this.#store.used(found, promptIds.length, savedMs);
    this.report = { ...this.report, reusedAs: this.#store.dtype, savedMs };
    this.#msPerToken = found.prefillMs / found.reused;
    return { cache, logits: found.logits, source: 'disk' };
  }

  keep({ promptIds, cache, logits, reused: known, computeMs }: Prefilled): void {
    const reused = this.#found?.reused ?? 0;
    const knownMs = reused === 0 ? 0 : (this.#found?.prefillMs ?? 0) / reused;
    const newMs = computeMs / Math.max(1, promptIds.length - known);
    this.#msPerToken = newMs;
    const writtenTokens = this.#store.keep({
      ids: promptIds,
      logits,
      words: this.#words,
      rowsFrom: (from) => cache.export(from, promptIds.length),
      prefillMs: (from, to) =>
        knownMs * overlap(from, to, 0, reused) + newMs * overlap(from, to, reused, promptIds.length),
    });
    this.report = this.report && { ...this.report, writtenTokens };
  }

  /**
   * Keeps a text, prompt and all, as far as it is not kept yet. What reading it back saves is what prefill would take, which
   * is less than decoding took.
   * @returns how many tokens were written
   */
  keepText({ ids, cache, stats }: EndedText): number {
    const decodeMs = (stats.decodeMs ?? 0) / Math.max(1, stats.generationTokens - 1);
    const msPerToken = Math.min(this.#msPerToken ?? decodeMs, decodeMs);
    return this.#store.keep({
      ids,
      logits: null,
      words: this.#words,
      rowsFrom: (from) => cache.export(from, ids.length),
      prefillMs: (from, to) => msPerToken * (to - from),
    });
  }
}

/** How much of `from` … `to` lies in `begin` … `end`. */
function overlap(from: number, to: number, begin: number, end: number): number {
  return Math.max(0, Math.min(to, end) - Math.max(from, begin));
}
