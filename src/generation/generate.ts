// The loop: prefill the prompt, then decode one token at a time, sampling each from the logits of the last.
// Yields ids. Knows nothing of text, streams or TF.js; the engine and the sampler are given.

import { setImmediate } from 'node:timers/promises';
import type { Engine } from '../engine/engine.js';
import type { Sampler } from '../sampling/sampler.js';
import type { KvCache } from '../tf/tensor-cache.js';
import { prefillIds, prefillPrompt } from './prefill.js';
import { type FinishReason, type GenerateOptions, type GenerateStats, Sequence } from './sequence.js';

/**
 * Generates ids until one of `stopIds`, `maxTokens`, the end of the context, or an abort.
 * @param promptIds 1 … nCtx − 1 ids
 * @param stats filled while it runs, also when the caller stops early
 * @yields each id as it is sampled
 * @returns why it ended
 */
export async function* generate(
  engine: Engine,
  sampler: Sampler,
  promptIds: readonly number[],
  options: GenerateOptions,
  stats: GenerateStats,
): AsyncGenerator<number, FinishReason> {
  const sequence = new Sequence(promptIds, options, stats);
  const run = new Run(engine, sequence);
  try {
    let logits = await run.prefill();
    while (logits !== null) {
      if (stats.generationTokens >= options.maxTokens) {
        return 'length';
      }
      const id = sampler(logits, sequence.ids);
      if (options.stopIds.includes(id)) {
        return 'stop';
      }
      sequence.accept(id, engine.numTensors());
      yield id;
      await setImmediate(); // native calls block the event loop: signals and closed pipes are noticed here
      if (sequence.end !== null) {
        return sequence.end;
      }
      logits = await run.step();
    }
    return 'abort';
  } finally {
    run.dispose();
  }
}

/** One generation: its sequence and its cache. */
class Run {
  readonly #engine: Engine;
  readonly #sequence: Sequence;
  /** The one place that decides between cached and uncached: null is a pass over all ids, with no past. */
  #cache: KvCache | null = null;

  constructor(engine: Engine, sequence: Sequence) {
    this.#engine = engine;
    this.#sequence = sequence;
  }

  async prefill(): Promise<Float32Array | null> {
    const { cache, logits } = await prefillPrompt(this.#engine, this.#sequence);
    this.#cache = cache;
    this.#measureCache();
    return logits;
  }

  /** Runs the newest id; null when aborted. */
  async step(): Promise<Float32Array | null> {
    const { window, full, aborted, options } = this.#sequence;
    if (aborted) {
      return null;
    }
    if (full) {
      return this.#reprefill();
    }
    if (this.#cache !== null) {
      this.#engine.prepare?.('decode', options.maxTokens - 1);
    }
    const logits = this.#engine.forward(this.#cache === null ? window : window.slice(-1), this.#cache);
    this.#measureCache();
    return logits;
  }

  dispose(): void {
    this.#cache?.dispose();
  }

  async #reprefill(): Promise<Float32Array | null> {
    this.#sequence.shorten();
    this.#cache?.truncate(0);
    const { window, options } = this.#sequence;
    const logits = await prefillIds(this.#engine, window, this.#cache, options);
    this.#measureCache();
    return logits;
  }

  #measureCache(): void {
    this.#sequence.stats.cachePositions = this.#cache?.length ?? 0;
    this.#sequence.stats.cacheBytes = this.#cache?.byteSize ?? 0;
  }
}

export type {
  FinishReason,
  GenerateOptions,
  GenerateStats,
  Prefilled,
  PromptCache,
  Restored,
} from './sequence.js';
export { newStats } from './sequence.js';
