// An engine without a model: the logits are a function of all the ids before, and are lent until the next pass. It
// records what it was asked to run, and refuses what no real engine could do.

import type { Engine, Pass } from '../../src/engine/engine.js';
import type { KvCache, Sequences } from '../../src/engine/kv-cache.js';
import type { KvRows } from '../../src/engine/kv-rows.js';
import type { ModelConfig } from '../../src/model/config.js';
import { parseConfig } from '../../src/weights/folder.js';
import { BorrowedLogits } from './borrowed-logits.js';

export interface ForwardCall {
  /** The ids handed over in this pass. */
  ids: number[];
  /** Ids that the cache held before; null: no cache. */
  past: number[] | null;
}

/** Remembers the ids of one sequence instead of keys and values. */
export class MockCache implements KvCache {
  ids: number[] = [];
  disposed = 0;
  expected = 0;

  get length(): number {
    return this.ids.length;
  }

  get lengths(): number[] {
    return [this.length];
  }

  get byteSize(): number {
    return 16 * this.ids.length;
  }

  truncate(length: number): void {
    this.ids = this.ids.slice(0, length);
  }

  truncateEach([length = 0]: readonly number[]): void {
    this.truncate(length);
  }

  readonly forks: MockCache[] = [];

  fork(): MockCache {
    const fork = new MockCache();
    fork.ids = [...this.ids];
    this.forks.push(fork);
    return fork;
  }

  export(): KvRows {
    throw new Error('mock cache: there are no keys and values');
  }

  dispose(): void {
    this.ids = [];
    this.disposed++;
  }
}

export class MockEngine implements Engine {
  readonly name = 'eager';
  readonly parameters = 0;
  readonly ragged = false;
  readonly passCost = (ids: number) => 0.7 + 0.3 * ids;
  readonly config: ModelConfig;
  readonly calls: ForwardCall[] = [];
  readonly caches: MockCache[] = [];
  readonly #logits = new BorrowedLogits();
  readonly #next: (ids: readonly number[]) => ArrayLike<number>;

  /** @param next logits of what follows these ids */
  constructor(next: (ids: readonly number[]) => ArrayLike<number>, { vocabSize = 256, nPositions = 64 } = {}) {
    const json = { model_type: 'gpt2', vocab_size: vocabSize, n_positions: nPositions };
    this.config = parseConfig(json, 'mock').config;
    this.#next = next;
  }

  /** An engine that follows a script: after n ids in all, `script[n]` is certain. */
  static script(script: (ids: readonly number[]) => number, shape = {}): MockEngine {
    return new MockEngine((ids) => {
      const logits = new Float32Array(256);
      logits[script(ids)] = 100;
      return logits;
    }, shape);
  }

  newCache(): MockCache {
    const cache = new MockCache();
    this.caches.push(cache);
    return cache;
  }

  gather(_: readonly Sequences[]): MockCache {
    throw new Error('mock engine: one sequence at a time');
  }

  forward({ ids: [ids = []], wanted }: Pass, cache: KvCache | null): Float32Array[] {
    const mock = cache instanceof MockCache ? cache : null;
    const past = [...(mock?.ids ?? [])];
    const seen = [...past, ...ids];
    if (ids.length === 0 || seen.length > this.config.nPositions) {
      throw new Error(`mock engine: ${ids.length} new of ${seen.length} ids, ${this.config.nPositions} positions`);
    }
    this.calls.push({ ids: [...ids], past: mock === null ? null : past });
    if (mock !== null) {
      mock.ids = seen;
    }
    return this.#logits.lend(wanted.map((t) => this.#next([...past, ...ids.slice(0, t + 1)])));
  }

  numTensors(): number {
    return 42;
  }

  dispose(): void {}
}
