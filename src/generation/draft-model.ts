// The drafter that asks a second model, a smaller one with the same ids: its likeliest id, then the likeliest behind that.
// It has a KV cache of its own, cut to what it has in common with the text each time. Knows nothing of the model that
// checks the guesses.

import type { Engine } from '../engine/engine.js';
import type { KvCache } from '../engine/kv-cache.js';
import { argmax } from '../sampling/scan.js';
import { type DraftedText, type Drafter, type Guesses, NOTHING } from './drafts.js';
import { lastOf, prefillChunks } from './prefill.js';
import { commonLength } from './recent-prompts.js';

/** More unseen ids than that are run before there are guesses. */
const MUCH = 16;

export class DraftModel implements Drafter {
  readonly chances = [0.7];
  readonly share: number;
  readonly #engine: Engine;
  readonly #cache: KvCache;
  /** What the cache holds. */
  #ran: number[] = [];

  /** @param parameters those of the model that checks the guesses */
  constructor(engine: Engine, parameters: number) {
    this.#engine = engine;
    this.#cache = engine.newCache();
    this.#cache.expected = engine.config.nPositions;
    this.share = engine.parameters / parameters;
  }

  /** Where it has not seen much of the text it guesses nothing, and runs a chunk of that: so a call never takes long. */
  guess({ window }: DraftedText, most: number): Guesses {
    const { nPositions } = this.#engine.config;
    const room = Math.min(most, nPositions - window.length + 1); // the last guess is not run
    if (room < 1) {
      return NOTHING;
    }
    this.#cutTo(Math.min(commonLength(this.#ran, window), window.length - 1));
    const unseen = window.slice(this.#ran.length);
    const [chunk = []] = prefillChunks(unseen);
    let next = this.#run(chunk);
    if (unseen.length > MUCH) {
      return NOTHING;
    }
    const ids = [next];
    while (ids.length < room) {
      next = this.#run([next]);
      ids.push(next);
    }
    return { ids, kinds: ids.map(() => 0) };
  }

  dispose(): void {
    this.#cache.dispose();
  }

  #cutTo(length: number): void {
    if (length < this.#ran.length) {
      this.#cache.truncate(length);
      this.#ran.length = length;
    }
  }

  /** @returns the likeliest id behind these */
  #run(ids: readonly number[]): number {
    const [logits] = this.#engine.forward(lastOf(ids), this.#cache);
    this.#ran.push(...ids);
    return argmax(logits as Float32Array);
  }
}
