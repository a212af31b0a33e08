// Where the time of a decode step goes: ids and positions into tensors (feed), the graph, logits out and the cache
// brought forward (read), the sampler (sample), and the detokenizer (text). Knows nothing of how results are shown.

import type { Engine } from '../../engine/engine.js';
import type { KvCache } from '../../engine/kv-cache.js';
import { lastOf } from '../../generation/prefill.js';
import { median, round } from './statistics.js';

/** In the order in which they happen. */
export const PARTS = ['feed', 'graph', 'read', 'sample', 'text'] as const;
type StepPart = (typeof PARTS)[number];

/** What follows the forward pass in a decode step. */
export interface ProfileWork {
  readonly sample: (logits: Float32Array) => number;
  /** null: the model has no tokenizer. */
  readonly text: ((id: number) => unknown) | null;
}

/** Milliseconds of each part, the median of all steps; null: the step has no such part. */
export type Profile = Readonly<Record<`${StepPart}_ms`, number | null>>;

export class Profiler {
  readonly #engine: Engine;
  readonly #work: ProfileWork;
  readonly #times: Record<StepPart, number[]> = { feed: [], graph: [], read: [], sample: [], text: [] };

  constructor(engine: Engine, work: ProfileWork) {
    this.#engine = engine;
    this.#work = work;
  }

  step(id: number, cache: KvCache): void {
    let last = performance.now();
    const done = (part: StepPart) => {
      const now = performance.now();
      this.#times[part].push(now - last);
      last = now;
    };
    const [logits] = this.#engine.forward(lastOf([id]), cache, done);
    const next = this.#work.sample(logits as Float32Array);
    done('sample');
    if (this.#work.text !== null) {
      this.#work.text(next);
      done('text');
    }
  }

  result(): Profile {
    const fields = PARTS.map((part) => {
      const times = this.#times[part];
      return [`${part}_ms`, times.length === 0 ? null : round(median(times))];
    });
    return Object.fromEntries(fields);
  }
}
