// Runs one point after the other on an engine and takes the times. The ids are fixed, and nothing is sampled or
// tokenized: only the forward pass is measured, until its logits are read. Knows nothing of how results are shown.

import { setImmediate } from 'node:timers/promises';
import type { Engine } from '../../engine/engine.js';
import type { KvCache } from '../../engine/kv-cache.js';
import { lastOf, prefillChunks } from '../../generation/prefill.js';
import { uniform } from '../../sampling/random.js';
import type { Point } from './points.js';
import { type Profile, Profiler, type ProfileWork } from './profile.js';
import { type Rates, rates } from './statistics.js';

export interface MeasureOptions {
  readonly repeat: number;
  readonly warmup: number;
  readonly seed: number;
  /** What a decode step does after the forward pass; undefined: no profile is taken. */
  readonly profile?: ProfileWork | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: (line: string) => void;
}

export interface Result extends Point, Rates {
  readonly repeat: number;
  readonly profile?: Profile;
}

/**
 * Measures the points, cached ones in the order of their depth.
 * @yields each result when it is measured
 */
export async function* measure(
  engine: Engine,
  points: readonly Point[],
  options: MeasureOptions,
): AsyncGenerator<Result, void> {
  const bench = new Measurement(engine, options);
  try {
    for (const point of points) {
      yield await bench.measure(point);
    }
  } finally {
    bench.dispose();
  }
}

class Measurement {
  readonly #engine: Engine;
  readonly #options: MeasureOptions;
  /** One id for each position of the context. */
  readonly #ids: readonly number[];
  /** Holds the ids up to the depth of the newest point; it is forked for each measurement. */
  readonly #base: KvCache;

  constructor(engine: Engine, options: MeasureOptions) {
    const { nPositions, vocabSize } = engine.config;
    this.#engine = engine;
    this.#options = options;
    this.#ids = Array.from({ length: nPositions }, (_, i) => Math.floor(uniform(options.seed, i) * vocabSize));
    this.#base = engine.newCache();
  }

  async measure(point: Point): Promise<Result> {
    const { repeat, warmup, profile, onProgress } = this.#options;
    const label = `${point.name} at depth ${point.depth}${point.cache ? '' : ' without the cache'}`;
    const times: number[] = [];
    for (let i = -warmup; i < repeat; i++) {
      onProgress(`${label}: ${i < 0 ? 'warm-up' : `${i + 1}/${repeat}`}`);
      const ms = await this.#run(point);
      if (i >= 0) {
        times.push(ms);
      }
    }
    const result = { ...point, repeat, ...rates(point.tokens, times) };
    return profile !== undefined && point.phase === 'decode' && point.cache
      ? { ...result, profile: await this.#profile(point, profile) }
      : result;
  }

  dispose(): void {
    this.#base.dispose();
  }

  async #run(point: Point): Promise<number> {
    if (!point.cache) {
      return this.#uncached(point);
    }
    await this.#reach(point.depth);
    const cache = this.#base.fork();
    const end = this.#ids.slice(point.depth, point.depth + point.tokens);
    try {
      return await this.#forward(point.phase === 'prefill' ? prefillChunks(end) : end.map((id) => [id]), cache);
    } finally {
      cache.dispose();
    }
  }

  /** Each token after a pass over all before it, on an empty cache that is thrown away: the engine is the same. */
  async #uncached({ depth, tokens }: Point): Promise<number> {
    let total = 0;
    for (let length = depth + 1; length <= depth + tokens; length++) {
      const cache = this.#engine.newCache();
      try {
        total += await this.#forward([this.#ids.slice(0, length)], cache);
      } finally {
        cache.dispose();
      }
    }
    return total;
  }

  /** @returns milliseconds in the forward passes; the event loop turns between them, so that signals are noticed */
  async #forward(steps: readonly (readonly number[])[], cache: KvCache): Promise<number> {
    let total = 0;
    for (const ids of steps) {
      await setImmediate();
      this.#options.signal.throwIfAborted();
      const start = performance.now();
      this.#engine.forward(lastOf(ids), cache);
      total += performance.now() - start;
    }
    return total;
  }

  /** Brings the common cache to `depth` positions. */
  async #reach(depth: number): Promise<void> {
    if (depth < this.#base.length) {
      this.#base.truncate(depth);
    }
    await this.#forward(prefillChunks(this.#ids.slice(this.#base.length, depth)), this.#base);
  }

  async #profile({ depth, tokens }: Point, work: ProfileWork): Promise<Profile> {
    const profiler = new Profiler(this.#engine, work);
    const cache = this.#base.fork();
    try {
      for (const id of this.#ids.slice(depth, depth + tokens)) {
        await setImmediate();
        this.#options.signal.throwIfAborted();
        profiler.step(id, cache);
      }
      return profiler.result();
    } finally {
      cache.dispose();
    }
  }
}
