// An engine without a model: the logits are a function of all the ids before. It records what it was asked to
// run, and refuses what no real engine could do.

import type { Engine } from '../../src/engine/engine.js';
import { parseConfig } from '../../src/model/gpt2-config.js';
import type { Rows } from '../../src/tf/inputs.js';
import type { KvCache } from '../../src/tf/tensor-cache.js';

export interface ForwardCall {
  /** The ids handed over in this pass. */
  ids: number[];
  /** Ids that the cache held before; null: no cache. */
  past: number[] | null;
}

/** Stands for a KvCache and remembers ids instead of tensors. */
class MockCache {
  ids: number[] = [];
  disposed = 0;

  get length(): number {
    return this.ids.length;
  }

  get byteSize(): number {
    return 16 * this.ids.length;
  }

  truncate(length: number): void {
    this.ids = this.ids.slice(0, length);
  }

  readonly forks: MockCache[] = [];

  fork(): MockCache {
    const fork = new MockCache();
    fork.ids = [...this.ids];
    this.forks.push(fork);
    return fork;
  }

  dispose(): void {
    this.ids = [];
    this.disposed++;
  }
}

export class MockEngine implements Engine {
  readonly name = 'eager';
  readonly config;
  readonly calls: ForwardCall[] = [];
  readonly caches: MockCache[] = [];
  readonly #next: (ids: readonly number[]) => ArrayLike<number>;

  /** @param next logits of what follows these ids */
  constructor(next: (ids: readonly number[]) => ArrayLike<number>, { vocabSize = 256, nPositions = 64 } = {}) {
    const config = { model_type: 'gpt2', vocab_size: vocabSize, n_positions: nPositions };
    this.config = parseConfig(config, 'mock');
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

  newCache(): KvCache {
    const cache = new MockCache();
    this.caches.push(cache);
    return cache as unknown as KvCache;
  }

  forward(ids: readonly number[], cache: KvCache | null): Float32Array {
    const mock = cache as unknown as MockCache | null;
    const seen = [...(mock?.ids ?? []), ...ids];
    if (ids.length === 0 || seen.length > this.config.nPositions) {
      throw new Error(`mock engine: ${ids.length} new of ${seen.length} ids, ${this.config.nPositions} positions`);
    }
    this.calls.push({ ids: [...ids], past: mock === null ? null : [...mock.ids] });
    if (mock !== null) {
      mock.ids = seen;
    }
    return Float32Array.from(this.#next(seen));
  }

  forwardRows({ ids, wanted }: Rows, cache: KvCache | null): Float32Array {
    const [row] = ids as [readonly number[]];
    const before = (cache as unknown as MockCache | null)?.ids ?? [];
    const last = this.forward(row, cache);
    const rows = wanted.map((t) =>
      t === row.length - 1 ? last : Float32Array.from(this.#next([...before, ...row.slice(0, t + 1)])),
    );
    return Float32Array.from(rows.flatMap((logits) => [...logits]));
  }

  numTensors(): number {
    return 42;
  }

  dispose(): void {}
}
