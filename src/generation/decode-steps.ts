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
   * Plain loops: a step of a small model takes half a millisecond.
   * @param cache holds these sequences, in their order, without the newest id of each
   * @returns for each sequence the logits that follow its newest id, borrowed from the engine
   */
  run(sequences: readonly Sequence[], cache: KvCache): readonly Float32Array[] {
    const drafts = sequences.some((sequence) => sequence.drafts !== null);
    const ids = sequences.map(({ window }) => [window[window.length - 1] as number]);
    if (drafts) {
      this.#removeRejected(sequences, cache);
      this.#addDrafts(sequences, ids);
    }
    const wanted: number[] = [];
    for (const { length } of ids) {
      for (let t = 0; t < length; t++) {
        wanted.push(wanted.length);
      }
    }
    const logits = this.#timed({ ids, wanted, drafts }, cache);
    return sequences.length === wanted.length ? this.#end(sequences, logits) : this.#keepBehind(sequences, ids, logits);
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

  /** Adds the draft of each sequence to its newest id: all of them together as long as pays. */
  #addDrafts(sequences: readonly Sequence[], ids: readonly number[][]): void {
    const mayDraft = this.#engine.ragged || sequences.length === 1;
    const chances = sequences.map((sequence) => (mayDraft ? sequence.guess(this.#cost, sequences.length) : []));
    const hasGuesses = chances.some(({ length }) => length > 0);
    const counts = hasGuesses ? allot(chances, this.#cost) : [];
    for (let b = 0; b < sequences.length; b++) {
      ids[b]?.push(...(sequences[b]?.drafts?.take(counts[b] ?? 0) ?? []));
    }
  }

  /** Gives each sequence the logits behind its draft. @returns those behind the newest ids */
  #keepBehind(sequences: readonly Sequence[], ids: readonly number[][], logits: readonly Float32Array[]) {
    let start = 0;
    const first = sequences.map(({ drafts }, b) => {
      const end = start + (ids[b] as number[]).length;
      const [own, ...behind] = logits.slice(start, end);
      drafts?.keep(behind);
      start = end;
      return own as Float32Array;
    });
    return this.#end(sequences, first);
  }

  #end(sequences: readonly Sequence[], logits: readonly Float32Array[]): readonly Float32Array[] {
    for (const sequence of sequences) {
      sequence.ran(sequence.window.length);
    }
    return logits;
  }
}
