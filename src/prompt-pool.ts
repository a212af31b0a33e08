// The prompts that ran last, in memory: a prompt that begins like one of them takes its keys and values from there.
// So what many prompts begin with is computed once. Asks a lasting prompt cache where it knows less.

import type { KvCache } from './cache/kv-cache.js';
import type { Prefilled, PromptCache, Restored } from './sequence.js';

/** Prompts kept: as many beginnings may take turns. */
const CAPACITY = 4;

interface Kept {
  readonly ids: readonly number[];
  readonly cache: KvCache;
  readonly logits: Float32Array;
}

export class PromptPool {
  /** Latest first. */
  #kept: Kept[] = [];

  /** What is known here of a prompt's beginning, before `lasting` is asked, and told. */
  in(lasting: PromptCache | undefined): PromptCache {
    return {
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
    const [best] = this.#kept.toSorted((a, b) => common(b.ids, ids) - common(a.ids, ids));
    const length = best === undefined ? 0 : common(best.ids, ids);
    if (best !== undefined && length === ids.length && length === best.ids.length) {
      return { cache: best.cache.fork(), logits: best.logits };
    }
    const known = Math.min(length, ids.length - 1); // the last id is run anew, for its logits
    const stored = lasting?.restore(ids, known) ?? null;
    if (stored !== null || best === undefined || known === 0) {
      return stored;
    }
    const cache = best.cache.fork();
    cache.truncate(known);
    return { cache, logits: null };
  }

  #keep({ promptIds, cache, logits }: Prefilled): void {
    const kept = { ids: [...promptIds], cache: cache.fork(), logits: logits.slice() };
    this.#kept = [kept, ...this.#kept];
    for (const { cache: old } of this.#kept.splice(CAPACITY)) {
      old.dispose();
    }
  }
}

function common(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) {
    length++;
  }
  return length;
}
