// An engine without a model that runs many sequences together: the id that follows is a function of all ids before. It records
// each pass, and knows which caches were not disposed.

import type { Engine, Pass } from '../../src/engine/engine.js';
import { checkTruncate, type KvCache, type Sequences } from '../../src/engine/kv-cache.js';
import type { KvRows } from '../../src/engine/kv-rows.js';
import type { ModelConfig } from '../../src/model/config.js';
import { parseConfig } from '../../src/weights/folder.js';
import { BorrowedLogits } from './borrowed-logits.js';

const VOCABULARY = 64;

class ManyCache implements KvCache {
  expected = 0;
  readonly #engine: ManyEngine;
  sequences: number[][] = [];

  constructor(engine: ManyEngine) {
    this.#engine = engine;
    engine.alive.add(this);
  }

  get length(): number {
    return Math.max(0, ...this.lengths);
  }

  get lengths(): number[] {
    return this.sequences.map(({ length }) => length);
  }

  get byteSize(): number {
    return this.lengths.reduce((sum, length) => sum + length, 0);
  }

  truncate(length: number): void {
    checkTruncate(length, this.length);
    const removed = this.length - length;
    this.sequences = this.sequences.map((ids) => ids.slice(0, ids.length - removed));
  }

  truncateEach(lengths: readonly number[]): void {
    this.sequences = this.sequences.map((ids, b) => ids.slice(0, lengths[b]));
  }

  fork(): ManyCache {
    return this.#engine.cacheOf(this.sequences);
  }

  export(): KvRows {
    throw new Error('mock cache: there are no keys and values');
  }

  dispose(): void {
    this.sequences = [];
    this.#engine.alive.delete(this);
  }
}

export class ManyEngine implements Engine {
  readonly name = 'eager';
  readonly parameters = 0;
  readonly ragged = true;
  readonly passCost = null;
  readonly config: ModelConfig;
  /** The ids of every pass, by sequence. */
  readonly passes: (readonly (readonly number[])[])[] = [];
  /** Caches that were not disposed. */
  readonly alive = new Set<KvCache>();
  /** Called before each pass. */
  onPass: (pass: Pass) => void = () => {};
  readonly #logits = new BorrowedLogits();

  constructor(nPositions = 4096) {
    this.config = parseConfig({ model_type: 'gpt2', vocab_size: VOCABULARY, n_positions: nPositions }, 'mock').config;
  }

  cacheOf(sequences: readonly (readonly number[])[]): ManyCache {
    const cache = new ManyCache(this);
    cache.sequences = sequences.map((ids) => [...ids]);
    return cache;
  }

  newCache(): ManyCache {
    return this.cacheOf([]);
  }

  gather(sources: readonly Sequences[]): ManyCache {
    const sequence = (cache: KvCache, b: number) => {
      const ids = cache instanceof ManyCache ? cache.sequences[b] : undefined;
      if (ids === undefined) {
        throw new Error(`mock engine: the cache has no sequence ${b}`);
      }
      return ids;
    };
    return this.cacheOf(sources.flatMap(({ cache, places }) => places.map((b) => sequence(cache, b))));
  }

  forward(pass: Pass, cache: KvCache | null): Float32Array[] {
    this.onPass(pass);
    this.passes.push(pass.ids);
    const past = cache instanceof ManyCache ? cache.sequences : [];
    if (past.length > 0 && past.length !== pass.ids.length) {
      throw new Error(`mock engine: ${pass.ids.length} sequences, ${past.length} in the cache`);
    }
    const seen = pass.ids.map((ids, b) => [...(past[b] ?? []), ...ids]);
    if (cache instanceof ManyCache) {
      cache.sequences = seen;
    }
    const behind = pass.ids.flatMap((ids, b) =>
      ids.map((_, t) => seen[b]?.slice(0, (seen[b]?.length ?? 0) - ids.length + t + 1) ?? []),
    );
    return this.#logits.lend(pass.wanted.map((i) => logitsBehind(behind[i] as number[])));
  }

  numTensors(): number {
    return 42;
  }

  dispose(): void {}
}

/** The likeliest id depends on all ids and their order. */
function logitsBehind(ids: readonly number[]): Float32Array {
  const logits = new Float32Array(VOCABULARY);
  logits[ids.reduce((sum, id) => (sum * 31 + id + 7) % 1009, 1) % VOCABULARY] = 100;
  return logits;
}
