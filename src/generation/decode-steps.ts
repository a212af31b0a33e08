// A decode step: one pass over the newest id of some sequences, and over the drafts behind them. Both loops, over one
// sequence and over many, take it. Knows nothing of how the ids are chosen.

import type { Engine, Pass } from '../engine/engine.js';
import type { KvCache } from '../engine/kv-cache.js';
import { allot, MeasuredCost, type PassCost } from './draft-plan.js';
import type { Sequence } from './sequence.js';

export class DecodeSteps {
  readonly #engine: Engine;
  readonly #measured = new MeasuredCost();
  readonly #cost: PassCost;

  constructor(engine: Engine) {
    this.#engine = engine;
    const { passCost } = engine;
    this.#cost = passCost === null ? this.#measured : { isMeasured: false, of: passCost };
  }

  /**
   * @param cache holds these sequences, in their order, without the newest id of each
   * @returns for each sequence the logits that follow its newest id, borrowed from the engine
   */
  run(sequences: readonly Sequence[], cache: KvCache): readonly Float32Array[] {
    this.#removeRejected(sequences, cache);
    const drafts = this.#draft(sequences);
    const ids = sequences.map(({ window }, b) => [...window.slice(-1), ...(drafts[b] as number[])]);
    const wanted = ids.flat().map((_, i) => i);
    const logits = this.#timed({ ids, wanted, drafts: sequences.some(({ drafts }) => drafts !== null) }, cache);
    let start = 0;
    return sequences.map((sequence, b) => {
      const end = start + (ids[b] as number[]).length;
      const [first, ...behind] = logits.slice(start, end);
      start = end;
      sequence.drafts?.keep(behind);
      sequence.ran(sequence.window.length);
      return first as Float32Array;
    });
  }

  #timed(pass: Pass, cache: KvCache): readonly Float32Array[] {
    const start = performance.now();
    const logits = this.#engine.forward(pass, cache);
    this.#measured.add(pass.wanted.length, performance.now() - start);
    return logits;
  }

  /** Takes guesses that were not chosen out of the cache. */
  #removeRejected(sequences: readonly Sequence[], cache: KvCache): void {
    const right = sequences.map(({ window }) => window.length - 1);
    if (cache.lengths.some((length, b) => length > (right[b] as number))) {
      cache.truncateEach(right);
    }
  }

  /** The draft of each sequence: together as long as pays. */
  #draft(sequences: readonly Sequence[]): number[][] {
    const mayDraft = this.#engine.ragged || sequences.length === 1;
    const chances = sequences.map((sequence) => (mayDraft ? sequence.guess(this.#cost, sequences.length) : []));
    const counts = allot(chances, this.#cost);
    return sequences.map(({ drafts }, b) => drafts?.take(counts[b] as number) ?? []);
  }
}
