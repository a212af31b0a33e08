// Shows that cached equals uncached: records the logits that each id was sampled from, then runs the same ids without a
// cache, step by step, and compares the logits. Knows nothing of text or of where the cache came from.

import { setImmediate } from 'node:timers/promises';
import type { Engine, Pass } from '../engine/engine.js';
import type { RowsDtype } from '../engine/kv-rows.js';
import { withForward } from '../engine/with-forward.js';
import type { Sampler } from '../sampling/sampler.js';
import { argmax } from '../sampling/scan.js';
import { lastOf } from './prefill.js';

export interface VerifyReport {
  readonly steps: number;
  readonly maxAbsDiff: number;
  readonly meanAbsDiff: number;
  /** The largest of the uncached logits, without its sign. */
  readonly maxAbsLogit: number;
  /** How the keys and values were saved that the cache began with; null: it began empty. */
  readonly restoredAs: RowsDtype | null;
  /** The first step with another likeliest token; `gap` is the difference of the two tokens' uncached logits. */
  readonly firstDifference: {
    readonly step: number;
    readonly cached: number;
    readonly uncached: number;
    readonly gap: number;
  } | null;
  /** Are the differences no more than rounding? */
  readonly ok: boolean;
}

interface Step {
  /** All ids that the model saw. */
  readonly ids: readonly number[];
  readonly logits: Float32Array;
}

/** A larger difference, as a share of the largest logit, is more than rounding: that of sums, or of float16. */
const TOLERANCE = 1e-3;
const FLOAT16_TOLERANCE = 1e-2;

export class CacheVerifier {
  readonly #engine: Engine;
  readonly #steps: Step[] = [];
  /** The ids that the cache holds and those that were run last. */
  #seen: readonly number[];
  /** How many of them come before each of the next logits: a draft gives several. */
  #before: number[];

  constructor(engine: Engine, promptIds: readonly number[]) {
    this.#engine = engine;
    this.#seen = promptIds; // a restored cache holds a beginning of the prompt
    this.#before = [promptIds.length];
  }

  /** The engine to generate with: it notes which ids each pass sees. */
  get engine(): Engine {
    return withForward(this.#engine, (pass, cache, onPart) => {
      this.#note(pass, cache?.length ?? 0);
      return this.#engine.forward(pass, cache, onPart);
    });
  }

  /** The sampler to generate with: it notes the logits of each step. */
  record(sampler: Sampler): Sampler {
    return (logits, ids) => {
      const seen = this.#seen.slice(0, this.#before.shift());
      this.#steps.push({ ids: seen, logits: logits.slice() }); // borrowed until the next pass
      return sampler(logits, ids);
    };
  }

  #note({ ids: [ids = []], wanted }: Pass, past: number): void {
    this.#seen = [...this.#seen.slice(0, past), ...ids];
    const before = wanted.map((t) => past + t + 1);
    const isDraft = this.#steps.length > 0; // the logits within a prompt are not sampled from
    this.#before = isDraft ? before : before.slice(-1);
  }

  /**
   * Runs every step again, without a cache.
   * @param onStep called before each step
   * @param restoredAs see `VerifyReport`
   * @returns null when `signal` aborts
   */
  async compare(
    onStep: (done: number, total: number) => void,
    signal: AbortSignal,
    restoredAs: RowsDtype | null = null,
  ): Promise<VerifyReport | null> {
    const comparison = new Comparison();
    for (const [step, { ids, logits }] of this.#steps.entries()) {
      onStep(step, this.#steps.length);
      await setImmediate(); // native calls block the event loop: signals are noticed here
      if (signal.aborted) {
        return null;
      }
      const [uncached] = this.#engine.forward(lastOf(ids), null);
      comparison.add(step, logits, uncached as Float32Array);
    }
    return comparison.report(this.#steps.length, restoredAs);
  }
}

/** The differences of cached and uncached logits, added up step by step. */
class Comparison {
  #max = 0;
  #sum = 0;
  #count = 0;
  #largest = 0;
  #first: VerifyReport['firstDifference'] = null;
  /** The largest gap of all steps with another likeliest token. */
  #widest = 0;

  add(step: number, cached: Float32Array, uncached: Float32Array): void {
    for (let id = 0; id < uncached.length; id++) {
      const difference = Math.abs((cached[id] as number) - (uncached[id] as number));
      this.#max = difference > this.#max || Number.isNaN(difference) ? difference : this.#max;
      this.#sum += difference;
      this.#largest = Math.max(this.#largest, Math.abs(uncached[id] as number));
    }
    this.#count += uncached.length;
    const [a, b] = [argmax(cached), argmax(uncached)];
    if (a !== b) {
      const gap = (uncached[b] as number) - (uncached[a] as number);
      this.#first ??= { step, cached: a, uncached: b, gap };
      this.#widest = Math.max(this.#widest, gap);
    }
  }

  report(steps: number, restoredAs: RowsDtype | null): VerifyReport {
    const max = this.#max;
    const tolerance = restoredAs === 'float16' ? FLOAT16_TOLERANCE : TOLERANCE;
    return {
      steps,
      maxAbsDiff: max,
      meanAbsDiff: this.#count === 0 ? 0 : this.#sum / this.#count,
      maxAbsLogit: this.#largest,
      restoredAs,
      firstDifference: this.#first,
      ok: this.#widest <= 2 * max && max <= tolerance * this.#largest,
    };
  }
}
