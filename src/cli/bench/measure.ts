// Runs one point after the other on one engine or several and takes the times. The ids are fixed, and nothing is sampled
// or tokenized: only the forward pass is measured, until its logits are read. Knows nothing of how results are shown.

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
  readonly signal: AbortSignal;
  readonly onProgress: (line: string) => void;
}

export interface Result extends Point, Rates {
  readonly repeat: number;
  readonly profile?: Profile;
}

/** An engine to measure. */
export interface Measured {
  readonly engine: Engine;
  /** Tells it from the others; undefined: there are none. */
  readonly label?: string | undefined;
  /** What a decode step does after the forward pass; undefined: no profile is taken. */
  readonly profile?: ProfileWork | undefined;
}

/**
 * Measures the points, cached ones in the order of their depth.
 * @yields each result when it is measured, with the place of its engine
 */
export async function* measure(
  engines: readonly Measured[],
  points: readonly Point[],
  options: MeasureOptions,
): AsyncGenerator<{ readonly place: number; readonly result: Result }, void> {
  const benches = engines.map((measured) => new Measurement(measured, options));
  try {
    for (const point of points) {
      await takeTurns(benches, point, options);
      for (const [place, bench] of benches.entries()) {
        yield { place, result: await bench.result(point) };
      }
    }
  } finally {
    for (const bench of benches) {
      bench.dispose();
    }
  }
}

/** Each engine once a round, so that what else the machine does meets all of them alike. */
async function takeTurns(
  benches: readonly Measurement[],
  point: Point,
  { repeat, warmup }: MeasureOptions,
): Promise<void> {
  for (let round = -warmup; round < repeat; round++) {
    for (const bench of benches) {
      await bench.round(point, round);
    }
  }
}

class Measurement {
  readonly #engine: Engine;
  readonly #measured: Measured;
  readonly #options: MeasureOptions;
  /** One id for each position of the context. */
  readonly #ids: readonly number[];
  /** Holds the ids up to the depth of the newest point; it is forked for each measurement. */
  readonly #base: KvCache;
  /** Milliseconds of the newest point, a number for each round. */
  #times: number[] = [];

  constructor(measured: Measured, options: MeasureOptions) {
    const { engine } = measured;
    const { nPositions, vocabSize } = engine.config;
    this.#engine = engine;
    this.#measured = measured;
    this.#options = options;
    this.#ids = Array.from({ length: nPositions }, (_, i) => Math.floor(uniform(options.seed, i) * vocabSize));
    this.#base = engine.newCache();
  }

  /** @param round from 0; those before are warm-up */
  async round(point: Point, round: number): Promise<void> {
    const { repeat, onProgress } = this.#options;
    const { label } = this.#measured;
    const words = `${point.name} at depth ${point.depth}${point.cache ? '' : ' without the cache'}`;
    const progress = round < 0 ? 'warm-up' : `${round + 1}/${repeat}`;
    onProgress(`${words}: ${progress}${label === undefined ? '' : `, ${label}`}`);
    const ms = await this.#run(point);
    this.#times = round > 0 ? [...this.#times, ms] : [ms];
  }

  async result(point: Point): Promise<Result> {
    const { profile } = this.#measured;
    const result = { ...point, repeat: this.#options.repeat, ...rates(point.tokens, this.#times) };
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
