// The prompts that ran last, in memory. A prompt that begins like one of them takes its keys and values from there, so
// a common beginning is computed once. The prompt cache on disk is asked whether it knows more. Knows nothing of text.

import type { KvCache } from '../engine/kv-cache.js';
import { bytesPerPosition, type ModelConfig } from '../model/config.js';
import type { Prefilled, PromptCache, Restored } from './sequence.js';

/** How much is kept: bytes of keys, values and logits, and prompts. The newest prompt is always kept. */
const MAX_BYTES = 2 ** 28;
const MAX_PROMPTS = 256;

interface KeptPrompt {
  readonly ids: readonly number[];
  readonly cache: KvCache;
  readonly logits: Float32Array;
}

export class PromptPool {
  /** Latest used first. */
  #kept: KeptPrompt[] = [];
  readonly #bytesPerPosition: number;

  constructor(config: ModelConfig) {
    this.#bytesPerPosition = bytesPerPosition(config);
  }

  /**
   * A prompt cache that looks here first and in `lasting` after that, and keeps prompts in both. What is generated is kept
   * in `lasting` alone: here it would take the place of prompts, which are shared more often.
   */
  in(lasting: PromptCache | undefined): PromptCache {
    return {
      ...(lasting?.keepText && { keepText: (ended) => lasting.keepText?.(ended) }),
      restore: (ids) => this.#restore(ids, lasting),
      keep: (prefilled) => {
        lasting?.keep(prefilled);
        this.#keep(prefilled);
      },
    };
  }

  dispose(): void {
    for (const { cache } of this.#kept) {
      cache.dispose();
    }
    this.#kept = [];
  }

  #restore(ids: readonly number[], lasting: PromptCache | undefined): Restored | null {
    const best = this.#nearest(ids);
    const length = best === undefined ? 0 : common(best.ids, ids);
    if (best !== undefined && length === ids.length && length === best.ids.length) {
      return { cache: best.cache.fork(), logits: best.logits };
    }
    const known = Math.min(length, ids.length - 1); // the last id must be run again, for its logits
    const stored = lasting?.restore(ids, known) ?? null;
    if (stored?.logits) {
      this.#keep({ promptIds: ids, cache: stored.cache, logits: stored.logits });
    }
    if (stored !== null || best === undefined || known === 0) {
      return stored;
    }
    const cache = best.cache.fork();
    cache.truncate(known);
    return { cache, logits: null };
  }

  /** The prompt with the longest common beginning; it moves to the front. */
  #nearest(ids: readonly number[]): KeptPrompt | undefined {
    const lengths = this.#kept.map((kept) => common(kept.ids, ids));
    const best = this.#kept[lengths.indexOf(Math.max(...lengths))];
    if (best !== undefined) {
      this.#kept = [best, ...this.#kept.filter((kept) => kept !== best)];
    }
    return best;
  }

  #keep({ promptIds, cache, logits }: Pick<Prefilled, 'promptIds' | 'cache' | 'logits'>): void {
    const kept = { ids: [...promptIds], cache: cache.fork(), logits: logits.slice() };
    const all = [kept, ...this.#kept];
    let bytes = 0;
    this.#kept = all.filter(({ ids, logits }, i) => {
      bytes += this.#bytesPerPosition * ids.length + logits.byteLength;
      return i === 0 || (i < MAX_PROMPTS && bytes <= MAX_BYTES);
    });
    for (const { cache: old } of all.slice(this.#kept.length)) {
      old.dispose();
    }
  }
}

/** How many ids at the beginning are the same. */
function common(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) {
    length++;
  }
  return length;
}
