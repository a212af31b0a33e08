// Prompts that are run beside sequences that are decoded: whose turn it is. In each round they share a number of ids: half of
// it goes to the prompt that is nearest to its end, half to the one that came first. So a short prompt does not wait for a
// long one, and a long one is not forgotten. What two prompts begin with is run once: the second waits for it. Knows nothing
// of decoding.

import type { Engine } from '../engine/engine.js';
import { type Prefill, type PrefillResult, PromptPrefill, Reprefill } from './prefill.js';
import type { PromptPool } from './prompt-pool.js';
import { reusable } from './recent-prompts.js';
import type { Sequence } from './sequence.js';

/** What became of a sequence: its ids were run (or its signal has aborted, and there are no logits), or there was an error. */
export type PrefillEvent<R> = { readonly request: R; readonly sequence: Sequence } & (
  | PrefillResult
  | { readonly error: unknown }
);

/** A sequence whose ids are not run yet. */
interface Waiting<R> {
  readonly request: R;
  readonly sequence: Sequence;
  /** null: not begun, or ended. */
  prefill: Prefill | null;
  /** Runs what both begin with; null: nothing is to be waited for. */
  leader: Waiting<R> | null;
  /** Ids of the leader's that it waits for. */
  common: number;
}

/**
 * Ids that a round runs beside sequences that are decoded: each of them waits for its next token meanwhile. At 124M that is
 * 75 ms on simd, where the pieces of a prompt take as long as the whole. On node each pass has a cost of its own: a sixth of
 * all with 64 ids, a twentieth with 128. Where nothing is decoded it is twice as many: who comes next waits for the end of the
 * round.
 */
const CHUNK_BESIDE_OTHERS = { plain: 64, costly: 128 } as const;
/** A pass over fewer ids is not worth that all weights are read, unless they are the last. */
const LEAST = 16;

export class PrefillTurns<R> {
  readonly #engine: Engine;
  readonly #pool: PromptPool;
  /** In the order in which they came. */
  #waiting: Waiting<R>[] = [];
  readonly #mostBeside: number;
  /** Ids that this round may still run. */
  #left = 0;

  constructor(engine: Engine, pool: PromptPool) {
    this.#engine = engine;
    this.#pool = pool;
    this.#mostBeside = CHUNK_BESIDE_OTHERS[engine.passCost === null ? 'plain' : 'costly'];
  }

  get size(): number {
    return this.#waiting.length;
  }

  add(request: R, sequence: Sequence): void {
    this.#waiting.push({ request, sequence, prefill: null, leader: null, common: 0 });
  }

  /** Takes a sequence that has come to the end of its context; see `reprefill`. */
  addAnew(request: R, sequence: Sequence): void {
    const cache = sequence.options.cache ? this.#engine.newCache() : null;
    const prefill = new Reprefill(this.#engine, sequence, cache);
    this.#waiting.push({ request, sequence, prefill, leader: null, common: 0 });
  }

  /**
   * One round. Those whose signal has aborted leave.
   * @param isAlone is nothing decoded that waits for the end of the round?
   */
  *run(isAlone: boolean): Generator<PrefillEvent<R>, void> {
    for (const one of this.#waiting.filter(({ sequence }) => sequence.aborted)) {
      yield this.#abort(one);
    }
    yield* this.#begin();
    this.#left = isAlone ? 2 * this.#mostBeside : this.#mostBeside;
    const first = this.#first();
    const isDivided = first !== this.#nearest();
    yield* this.#runTurn(isDivided ? this.#left / 2 : this.#left, () => this.#nearest());
    yield* this.#runTurn(this.#left, () => this.#first());
  }

  dispose(): void {
    for (const { prefill, sequence } of this.#waiting.splice(0)) {
      prefill?.dispose();
      sequence.dispose();
    }
  }

  /** Runs ids of the sequence that `next` names, and when these are all, of the next. */
  *#runTurn(share: number, next: () => Waiting<R> | undefined): Generator<PrefillEvent<R>, void> {
    for (let left = share, one = next(); one?.prefill; one = next()) {
      const most = Math.min(left, this.#left);
      if (most === 0 || (most < LEAST && most < one.prefill.left)) {
        return;
      }
      const { count, events } = this.#advance(one, most);
      left = Math.max(0, left - count);
      this.#left = Math.max(0, this.#left - count);
      if (events.length > 0) {
        this.#left = Math.min(this.#left, this.#mostBeside); // its first token waits for the end of the round
      }
      yield* events;
      yield* this.#begin();
    }
  }

  #advance(one: Waiting<R>, most: number): { count: number; events: PrefillEvent<R>[] } {
    try {
      const prefill = one.prefill as Prefill;
      const count = this.#pool.spare(() => prefill.advance(most));
      return { count, events: prefill.left === 0 ? [this.#end(one)] : [] };
    } catch (error) {
      return { count: most, events: [this.#fail(one, error)] };
    }
  }

  /** Begins those that have nothing to wait for. What is wholly known is ended at once. */
  *#begin(): Generator<PrefillEvent<R>, void> {
    for (const one of this.#waiting.filter(({ prefill }) => prefill === null)) {
      if (this.#follows(one)) {
        continue;
      }
      try {
        one.prefill = new PromptPrefill(this.#engine, one.sequence);
        if (one.prefill.left === 0) {
          yield this.#end(one);
        }
      } catch (error) {
        yield this.#fail(one, error);
      }
    }
  }

  /** Is another about to run what both begin with? What it has run of that is put into the pool when it is all. */
  #follows(one: Waiting<R>): boolean {
    const isBehind = () => one.leader?.prefill && one.leader.prefill.done < one.common;
    if (isBehind()) {
      return true;
    }
    this.#findLeader(one);
    if (isBehind()) {
      return true;
    }
    if (one.leader?.prefill) {
      this.#keepPart(one.leader.prefill);
    }
    return false;
  }

  /** Finds who runs more of its beginning than is in the pool. */
  #findLeader(one: Waiting<R>): void {
    const { ids, options } = one.sequence;
    one.leader = null;
    one.common = this.#pool.known(ids);
    if (!options.cache || options.onPromptLogits !== undefined) {
      return;
    }
    for (const other of this.#begun) {
      const common =
        other.prefill instanceof PromptPrefill && other.prefill.cache ? reusable(other.prefill.ids, ids) : 0;
      if (common > one.common) {
        one.leader = other;
        one.common = common;
      }
    }
  }

  get #begun(): Waiting<R>[] {
    return this.#waiting.filter(({ prefill }) => prefill !== null);
  }

  #first(): Waiting<R> | undefined {
    return this.#begun[0];
  }

  /** The one with the fewest ids to its end, or to where others wait for it. */
  #nearest(): Waiting<R> | undefined {
    const wanted = this.#begun.map((one) => {
      const { done, left } = one.prefill as Prefill;
      const followers = this.#waiting.filter(({ leader, prefill }) => leader === one && prefill === null);
      return Math.min(left, ...followers.map(({ common }) => common - done));
    });
    return this.#begun[wanted.indexOf(Math.min(...wanted))];
  }

  #end(one: Waiting<R>): PrefillEvent<R> {
    const { request, sequence, prefill } = one;
    const result = (prefill as Prefill).end();
    this.#remove(one);
    return { request, sequence, ...result };
  }

  #abort(one: Waiting<R>): PrefillEvent<R> {
    const { request, sequence, prefill } = one;
    if (prefill === null) {
      this.#remove(one);
      return { request, sequence, cache: null, logits: null };
    }
    this.#keepPart(prefill);
    return this.#end(one);
  }

  #fail(one: Waiting<R>, error: unknown): PrefillEvent<R> {
    const { request, sequence, prefill } = one;
    prefill?.dispose();
    sequence.dispose();
    this.#remove(one);
    return { request, sequence, error };
  }

  #remove(one: Waiting<R>): void {
    one.prefill = null;
    this.#waiting = this.#waiting.filter((other) => other !== one);
  }

  /** So that others, or the same prompt when it comes again, begin behind what was run of it. */
  #keepPart({ ids, done, cache }: Prefill): void {
    if (cache !== null) {
      this.#pool.keepPart(ids.slice(0, done), cache);
    }
  }
}
