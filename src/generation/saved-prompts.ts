// The prompt cache: joins the store, which knows files, and the KV cache, which knows tensors. What a run found is
// reported here. Knows nothing of text, and nothing of where the files lie.

import type { Found, PromptStore } from '../store/prompts.js';
import { exportRows, importRows } from '../tf/cache-rows.js';
import type { Prefilled, PromptCache, Restored } from './generate.js';

export interface PromptCacheReport {
  /** Prefill of the reused tokens when they were stored, less the time that loading them took now. */
  readonly savedMs: number;
  readonly missReason: string | null;
  readonly firstDifference: Found['firstDifference'];
}

export class SavedPrompts implements PromptCache {
  /** What `restore` found; null before. */
  report: PromptCacheReport | null = null;
  readonly #store: PromptStore;
  readonly #nHead: number;
  readonly #words: string;
  #found: Found | null = null;

  /** @param words the prompt's first words, for whoever lists what is stored */
  constructor(store: PromptStore, nHead: number, words: string) {
    this.#store = store;
    this.#nHead = nHead;
    this.#words = words;
  }

  restore(promptIds: readonly number[], known = 0): Restored | null {
    const start = performance.now();
    const found = this.#store.find(promptIds);
    this.#found = found;
    const { missReason, firstDifference } = found;
    this.report = { savedMs: 0, missReason, firstDifference };
    if (found.reused <= known) {
      return null;
    }
    const cache = importRows(found.rows, this.#nHead);
    const savedMs = found.prefillMs - (performance.now() - start);
    this.#store.used(found, savedMs);
    this.report = { savedMs, missReason, firstDifference };
    return { cache, logits: found.logits };
  }

  keep({ promptIds, cache, logits, reused: known, computeMs }: Prefilled): void {
    const reused = this.#found?.reused ?? 0;
    const knownMs = reused === 0 ? 0 : (this.#found?.prefillMs ?? 0) / reused;
    const newMs = computeMs / Math.max(1, promptIds.length - known);
    this.#store.keep({
      ids: promptIds,
      logits,
      words: this.#words,
      rowsFrom: (from) => exportRows(cache, from, promptIds.length),
      prefillMs: (from, to) =>
        knownMs * overlap(from, to, 0, reused) + newMs * overlap(from, to, reused, promptIds.length),
    });
  }
}

function overlap(from: number, to: number, begin: number, end: number): number {
  return Math.max(0, Math.min(to, end) - Math.max(from, begin));
}
