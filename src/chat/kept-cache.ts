// The keys and values of a chat, from turn to turn: what a prompt has in common with what was run last need not be run
// again. Each turn asks it as a prompt cache; the first asks the disk. Knows nothing of text.

import type { KvCache } from '../engine/kv-cache.js';
import type { PromptCache, Restored } from '../generation/sequence.js';

export class KeptCache {
  #ids: readonly number[] = [];
  /** Holds exactly these ids; null: nothing was run yet. */
  #cache: KvCache | null = null;

  /**
   * The prompt cache of one turn.
   * @param disk where they are kept, too; where it keeps texts, these alone are: no prompt of a chat comes twice
   */
  forTurn(disk?: PromptCache): PromptCache {
    return {
      restore: (promptIds) => {
        const known = Math.min(commonLength(this.#ids, promptIds), promptIds.length - 1);
        return this.#cache === null ? (disk?.restore(promptIds) ?? null) : this.#restore(known);
      },
      keep: (prefilled) => {
        this.#hold(prefilled.promptIds, prefilled.cache);
        if (disk?.keepText === undefined) {
          disk?.keep(prefilled);
        }
      },
      keepText: (ended) => {
        this.#hold(ended.ids, ended.cache);
        disk?.keepText?.(ended);
      },
    };
  }

  dispose(): void {
    this.#cache?.dispose();
    this.#cache = null;
    this.#ids = [];
  }

  #restore(known: number): Restored | null {
    if (this.#cache === null || known === 0) {
      return null;
    }
    const cache = this.#cache.fork();
    cache.truncate(known);
    return { cache, logits: null, source: 'memory' }; // those behind a part of it are not known
  }

  #hold(ids: readonly number[], cache: KvCache): void {
    const held = cache.fork();
    this.dispose();
    this.#ids = [...ids];
    this.#cache = held;
  }
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  const differs = a.findIndex((id, i) => id !== b[i]);
  return differs < 0 ? a.length : differs;
}
