// How long the passes of one text take: of its prompt part by part, and of each token until it is chosen. It stands between the
// loop and the engine, and the loop knows nothing of it.

import type { Engine } from '../engine/engine.js';
import { withForward } from '../engine/with-forward.js';
import type { Sampler } from '../sampling/sampler.js';

/** A pass over positions [from, to). */
export interface TimedPass {
  readonly from: number;
  readonly to: number;
  readonly ms: number;
}

export class PassTimes {
  readonly #engine: Engine;
  readonly #prompt: TimedPass[] = [];
  readonly #steps: number[] = [];
  /** Milliseconds since the last choice. */
  #since = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** The passes before the first choice. */
  get prompt(): readonly TimedPass[] {
    return this.#prompt;
  }

  /** For each choice, the milliseconds of the passes since the one before; 0: a draft was right. */
  get steps(): readonly number[] {
    return this.#steps;
  }

  /** The engine to generate with. */
  get engine(): Engine {
    return withForward(this.#engine, (pass, cache, onPart) => {
      const from = cache?.length ?? 0;
      const start = performance.now();
      const logits = this.#engine.forward(pass, cache, onPart);
      const ms = performance.now() - start;
      this.#since += ms;
      if (this.#steps.length === 0) {
        this.#prompt.push({ from, to: from + (pass.ids[0]?.length ?? 0), ms });
      }
      return logits;
    });
  }

  /** The sampler to generate with. */
  record(sampler: Sampler): Sampler {
    return (logits, ids) => {
      this.#steps.push(this.#since);
      this.#since = 0;
      return sampler(logits, ids);
    };
  }
}
