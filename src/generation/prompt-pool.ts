// The prompts that ran last, in memory. A prompt that begins like one of them takes its keys and values from there, so
// a common beginning is computed once. The prompt cache on disk is asked whether it knows more. Knows nothing of text.

import type { KvCache } from '../engine/kv-cache.js';
import { KvgenError } from '../errors.js';
import { bytesPerPosition, type ModelConfig } from '../model/config.js';
import { MAX_BYTES, RecentPrompts } from './recent-prompts.js';
import type { EndedText, Prefilled, PromptCache, Restored } from './sequence.js';

export interface PoolOptions {
  /** Bytes of keys, values and logits that are kept (default: `MAX_BYTES` of recent-prompts.ts). */
  readonly maxBytes?: number | undefined;
  /**
   * Is what is generated kept, too? Of use where a prompt goes on from an answer, as in a conversation; else it would take
   * the place of prompts, which are shared more often.
   */
  readonly keepsTexts?: boolean | undefined;
}

/** Bytes to keep for a server: what so many texts take that run together, and no more than the default. */
export function bytesFor(texts: number, config: ModelConfig): number {
  return Math.min(MAX_BYTES, texts * config.nPositions * bytesPerPosition(config));
}

interface KeptPrompt {
  readonly cache: KvCache;
  /** Those that follow it; null: it is a part of a prompt, or a text that has ended. */
  readonly logits: Float32Array | null;
}

export class PromptPool {
  readonly #prompts: RecentPrompts<KeptPrompt>;
  readonly #keepsTexts: boolean;

  constructor(config: ModelConfig, { maxBytes, keepsTexts = false }: PoolOptions = {}) {
    this.#prompts = new RecentPrompts(config, maxBytes);
    this.#keepsTexts = keepsTexts;
  }

  /** A prompt cache that looks here first and in `lasting` after that, and keeps prompts in both. */
  in(lasting: PromptCache | undefined): PromptCache {
    const keepsTexts = this.#keepsTexts;
    const keepHere = (ended: EndedText) => this.keepPart(ended.ids, ended.cache);
    return {
      get keepText() {
        const keepThere = lasting?.keepText?.bind(lasting);
        if (!keepsTexts) {
          return keepThere;
        }
        return (ended: EndedText) => {
          keepThere?.(ended);
          keepHere(ended);
        };
      },
      restore: (ids) => this.#restore(ids, lasting),
      keep: (prefilled) => {
        lasting?.keep(prefilled);
        this.#keep(prefilled);
      },
    };
  }

  /** How many ids at the beginning are known here. */
  known(ids: readonly number[]): number {
    return this.#prompts.common(ids);
  }

  /** Keeps ids that are no whole prompt. @param cache holds them; borrowed */
  keepPart(ids: readonly number[], cache: KvCache): void {
    if (ids.length > 0 && this.known(ids) < ids.length) {
      this.#keep({ promptIds: ids, cache, logits: null });
    }
  }

  /**
   * Does some work. Where the engine's memory is full, which changes nothing, what is kept here is given up and it is tried
   * once more.
   */
  spare<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof KvgenError)) {
        throw error;
      }
      this.dispose();
      return work();
    }
  }

  dispose(): void {
    for (const { cache } of this.#prompts.clear()) {
      cache.dispose();
    }
  }

  #restore(ids: readonly number[], lasting: PromptCache | undefined): Restored | null {
    const best = this.#prompts.nearest(ids);
    if (best?.isSame && best.value.logits !== null) {
      return { cache: best.value.cache.fork(), logits: best.value.logits, source: 'memory' };
    }
    const known = Math.min(best?.known ?? 0, ids.length - 1); // the last must be run for its logits
    const stored = lasting?.restore(ids, known) ?? null;
    if (stored?.logits) {
      this.#keep({ promptIds: ids, cache: stored.cache, logits: stored.logits });
    }
    if (stored !== null || best === undefined || known === 0) {
      return stored;
    }
    const cache = best.value.cache.fork();
    cache.truncate(known);
    return { cache, logits: null, source: 'memory' };
  }

  #keep({ promptIds, cache, logits }: Pick<Prefilled, 'promptIds' | 'cache'> & Pick<KeptPrompt, 'logits'>): void {
    const contained = this.#prompts.removeBeginnings(promptIds, (kept) => kept.logits === null);
    const kept = { cache: cache.fork(), logits: logits?.slice() ?? null };
    for (const { cache: old } of [...contained, ...this.#prompts.keep(promptIds, kept)]) {
      old.dispose();
    }
  }
}
