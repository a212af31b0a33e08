// The loop over many sequences. In each round the prompts that wait are run a piece further, and those that are done are
// decoded together: one pass gives one token to each. When a sequence ends, the next request takes its place. Each has its
// own sampler, so its ids are the same as if it ran alone. Knows nothing of text or of where the requests come from.

import type { Engine } from '../engine/engine.js';
import type { KvCache, Sequences } from '../engine/kv-cache.js';
import type { Sampler } from '../sampling/sampler.js';
import { DecodeSteps } from './decode-steps.js';
import { EventLoop } from './event-loop.js';
import { keepText } from './keep-text.js';
import { lastOf } from './prefill.js';
import { type PrefillEvent, PrefillTurns } from './prefill-turns.js';
import { type PoolOptions, PromptPool } from './prompt-pool.js';
import { type Ending, type GeneratedId, Sequence, type SequenceOptions } from './sequence.js';

export interface SequenceRequest {
  readonly promptIds: readonly number[];
  readonly sampler: Sampler;
  readonly options: SequenceOptions;
}

/** Gives requests one by one. */
export interface RequestSource<R> {
  /** The next request; undefined: there is none at the moment. */
  take(): R | undefined;
  /** Resolves to true when `take` may have a request, and to false when there will be no more. */
  wait(): Promise<boolean>;
}

/** One event of a request: an id, the end, or an error. */
type SequenceEvent<R> = { readonly request: R } & (
  | { readonly token: GeneratedId }
  | { readonly end: Ending }
  | { readonly error: unknown }
);

/**
 * Generates ids for every request of the source. One whose signal aborts leaves in the next round.
 * @param concurrency how many sequences are prefilled and decoded at a time
 * @param pool what is kept in memory for prompts that begin alike
 */
export async function* generateMany<R extends SequenceRequest>(
  engine: Engine,
  source: RequestSource<R>,
  concurrency: number,
  pool: PoolOptions = {},
): AsyncGenerator<SequenceEvent<R>, void> {
  const batch = new Batch<R>(engine, pool);
  const eventLoop = new EventLoop();
  try {
    for (;;) {
      for (let next = take(); next !== undefined; next = take()) {
        batch.admit(next);
      }
      if (batch.size > 0) {
        yield* batch.prefill();
        yield* batch.choose();
        if (eventLoop.due) {
          await eventLoop.run();
        }
        yield* batch.step();
      } else if (!(await source.wait())) {
        return;
      }
    }
  } finally {
    batch.dispose();
  }

  function take(): R | undefined {
    return batch.size < concurrency ? source.take() : undefined;
  }
}

/** One sequence of the batch, and where its keys and values are. */
interface Member<R> {
  readonly request: R;
  readonly sequence: Sequence;
  /** Those that the next id is chosen by; null: it was chosen, or the signal aborted. */
  logits: Float32Array | null;
  /** Where those of a step are kept while others are prefilled or chosen for; the engine only lends them. */
  readonly kept: Float32Array;
  /** Its own after prefill, the one of the whole batch from then on; null: it runs uncached, or has aborted. */
  cache: KvCache | null;
  /** Which of the sequences in `cache` it is, from 0. */
  place: number;
}

class Batch<R extends SequenceRequest> {
  readonly #engine: Engine;
  readonly #pool: PromptPool;
  readonly #prefills: PrefillTurns<R>;
  readonly #steps: DecodeSteps;
  /** Those that are decoded. */
  #members: Member<R>[] = [];
  /** Holds the sequences that were last decoded together. */
  #cache: KvCache | null = null;

  constructor(engine: Engine, pool: PoolOptions) {
    this.#engine = engine;
    this.#pool = new PromptPool(engine.config, pool);
    this.#prefills = new PrefillTurns(engine, this.#pool);
    this.#steps = new DecodeSteps(engine);
  }

  get size(): number {
    return this.#members.length + this.#prefills.size;
  }

  admit(request: R): void {
    const options = { ...request.options, promptCache: this.#pool.in(request.options.promptCache) };
    this.#prefills.add(request, new Sequence(this.#engine.config, request.promptIds, options));
  }

  /** Runs prompts a piece further. Those that are done are decoded from now on. */
  *prefill(): Generator<SequenceEvent<R>, void> {
    for (const event of this.#prefills.run(this.#members.length === 0)) {
      if ('error' in event) {
        yield { request: event.request, error: event.error };
      } else {
        this.#members.push(this.#memberOf(event));
      }
    }
  }

  #memberOf(prefilled: Exclude<PrefillEvent<R>, { error: unknown }>): Member<R> {
    return { ...prefilled, kept: new Float32Array(this.#engine.config.vocabSize), place: 0 };
  }

  /** Chooses an id for each sequence, or several where a draft was right, and removes those that end. */
  *choose(): Generator<SequenceEvent<R>, void> {
    yield* this.#chooseForEach(this.#members.filter(({ sequence }) => sequence.aborted)); // they leave before the others are gathered
    this.#gather(this.#members.filter(({ cache }) => cache !== null));
    yield* this.#chooseForEach([...this.#members]);
  }

  *#chooseForEach(members: readonly Member<R>[]): Generator<SequenceEvent<R>, void> {
    for (const member of members) {
      try {
        yield* this.#chooseFor(member);
      } catch (error) {
        yield* this.#fail([member], error);
      }
    }
  }

  /** Runs the newest id of every sequence. An error in a pass over one sequence does not touch the others. */
  *step(): Generator<SequenceEvent<R>, void> {
    for (const member of this.#members.filter(({ sequence }) => sequence.full && !sequence.aborted)) {
      this.#leave(member);
      this.#prefills.addAnew(member.request, member.sequence);
    }
    const waiting = this.#members.filter(({ logits, sequence }) => logits === null && !sequence.aborted);
    for (const member of waiting.filter(({ cache }) => cache === null)) {
      yield* this.#attempt([member], () => {
        const [logits] = this.#engine.forward(lastOf(member.sequence.window), null);
        keepLogits(member, logits as Float32Array);
      });
    }
    const cached = waiting.filter(({ cache }) => cache !== null);
    if (cached.length > 0) {
      yield* this.#attempt(cached, () => this.#stepTogether(cached));
    }
  }

  dispose(): void {
    for (const member of [...this.#members]) {
      this.#remove(member);
    }
    this.#prefills.dispose();
    this.#pool.dispose();
  }

  /** Does some work for `members`, and removes them from the batch if it fails. */
  #attempt(members: readonly Member<R>[], work: () => void): SequenceEvent<R>[] {
    try {
      work();
      return [];
    } catch (error) {
      return this.#fail(members, error);
    }
  }

  #fail(members: readonly Member<R>[], error: unknown): SequenceEvent<R>[] {
    for (const member of members) {
      this.#remove(member);
    }
    return members.map(({ request }) => ({ request, error }));
  }

  *#chooseFor(member: Member<R>): Generator<SequenceEvent<R>, void> {
    const { request, sequence } = member;
    do {
      const next = sequence.choose(member.logits, request.sampler, this.#engine.numTensors());
      if (typeof next !== 'string') {
        yield { request, token: next };
      }
      const end = typeof next === 'string' ? next : sequence.end;
      if (end !== null) {
        if (member.cache !== null) {
          keepText(this.#engine, sequence, member.cache, member.place);
        }
        this.#remove(member);
        yield { request, end: sequence.ending(end) };
        return;
      }
      member.logits = sequence.nextOfDraft();
    } while (member.logits !== null);
  }

  #stepTogether(members: readonly Member<R>[]): void {
    const sequences = members.map(({ sequence }) => sequence);
    const cache = this.#gather(members) as KvCache;
    const logits = this.#pool.spare(() => this.#steps.run(sequences, cache));
    for (const [b, member] of members.entries()) {
      keepLogits(member, logits[b] as Float32Array);
    }
  }

  /** One cache of these sequences, in their order; it is made anew only when one has come or gone. */
  #gather(members: readonly Member<R>[]): KvCache | null {
    const current = this.#cache;
    const isSame = members.every(({ cache, place }, b) => cache === current && place === b);
    if (members.length === 0 || (isSame && current?.lengths.length === members.length)) {
      return current;
    }
    const old = new Set([current, ...members.map(({ cache }) => cache)]);
    const [first] = members;
    this.#cache =
      members.length === 1 && first !== undefined && first.cache !== current
        ? first.cache
        : this.#engine.gather(sources(members));
    for (const cache of old) {
      cache === this.#cache || cache?.dispose();
    }
    for (const [b, member] of members.entries()) {
      member.cache = this.#cache;
      member.place = b;
    }
    return this.#cache;
  }

  #remove(member: Member<R>): void {
    this.#leave(member);
    member.sequence.dispose();
  }

  /** Takes a sequence out of the batch; of a common cache the last frees it. */
  #leave(member: Member<R>): void {
    const { cache } = member;
    this.#members = this.#members.filter((other) => other !== member);
    if (cache === null || this.#members.some((other) => other.cache === cache)) {
      return;
    }
    cache.dispose();
    if (cache === this.#cache) {
      this.#cache = null;
    }
  }
}

function keepLogits<R>(member: Member<R>, logits: Float32Array): void {
  member.kept.set(logits);
  member.logits = member.kept;
}

/** Where the sequences are now: neighbours in the same cache become one entry. */
function sources<R>(members: readonly Member<R>[]): Sequences[] {
  const found: { cache: KvCache; places: number[] }[] = [];
  for (const { cache, place } of members) {
    const last = found.at(-1);
    if (last !== undefined && last.cache === cache) {
      last.places.push(place);
    } else if (cache !== null) {
      found.push({ cache, places: [place] });
    }
  }
  return found;
}
