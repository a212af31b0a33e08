// The prompts that ran last, in memory. A prompt that begins like one of them takes its keys and values from there, so
// a common beginning is computed once. The prompt cache on disk is asked whether it knows more. Knows nothing of text.

import type { KvCache } from '../engine/kv-cache.js';
import type { ModelConfig } from '../model/config.js';
import { RecentPrompts } from './recent-prompts.js';
import type { Prefilled, PromptCache, Restored } from './sequence.js';

interface KeptPrompt {
  readonly cache: KvCache;
  readonly logits: Float32Array;
}

export class PromptPool {
  readonly #prompts: RecentPrompts<KeptPrompt>;

  constructor(config: ModelConfig) {
    this.#prompts = new RecentPrompts(config);
  }

  /**
   * A prompt cache that looks here first and in `lasting` after that, and keeps prompts in both. What is generated is kept
   * in `lasting` alone: here it would take the place of prompts, which are shared more often.
   */
  in(lasting: PromptCache | undefined): PromptCache {
    return {
      get keepText() {
        return lasting?.keepText?.bind(lasting);
      },
      restore: (ids) => this.#restore(ids, lasting),
      keep: (prefilled) => {
        lasting?.keep(prefilled);
        this.#keep(prefilled);
      },
    };
  }

  dispose(): void {
    for (const { cache } of this.#prompts.clear()) {
      cache.dispose();
    }
  }

  #restore(ids: readonly number[], lasting: PromptCache | undefined): Restored | null {
    const best = this.#prompts.nearest(ids);
    if (best?.isSame) {
      return { cache: best.value.cache.fork(), logits: best.value.logits };
    }
    const known = best?.known ?? 0;
    const stored = lasting?.restore(ids, known) ?? null;
    if (stored?.logits) {
      this.#keep({ promptIds: ids, cache: stored.cache, logits: stored.logits });
    }
    if (stored !== null || best === undefined || known === 0) {
      return stored;
    }
    const cache = best.value.cache.fork();
    cache.truncate(known);
    return { cache, logits: null };
  }

  #keep({ promptIds, cache, logits }: Pick<Prefilled, 'promptIds' | 'cache' | 'logits'>): void {
    for (const { cache: old } of this.#prompts.keep(promptIds, { cache: cache.fork(), logits: logits.slice() })) {
      old.dispose();
    }
  }
}
