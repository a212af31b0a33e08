// The loop over many sequences: each is prefilled alone, then all are decoded together, and one pass gives one token to
// each. When a sequence ends, the next request takes its place. Each has its own sampler, so its ids are the same as
// if it ran alone. Knows nothing of text or of where the requests come from.

import type { Engine } from '../engine/engine.js';
import type { KvCache, Sequences } from '../engine/kv-cache.js';
import type { Sampler } from '../sampling/sampler.js';
import { DecodeSteps } from './decode-steps.js';
import { EventLoop } from './event-loop.js';
import { keepText } from './keep-text.js';
import { lastOf, prefillPrompt, reprefill } from './prefill.js';
import { PromptPool } from './prompt-pool.js';
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
 * Generates ids for every request of the source.
 * @param concurrency how many sequences are decoded together
 */
export async function* generateMany<R extends SequenceRequest>(
  engine: Engine,
  source: RequestSource<R>,
  concurrency: number,
): AsyncGenerator<SequenceEvent<R>, void> {
  const batch = new Batch<R>(engine);
  const eventLoop = new EventLoop();
  try {
    for (;;) {
      for (let next = take(); next !== undefined; next = take()) {
        yield* batch.admit(next);
      }
      if (batch.size > 0) {
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
  /** Its own after prefill, the one of the whole batch from then on; null: it runs uncached. */
  cache: KvCache | null;
  /** Which of the sequences in `cache` it is, from 0. */
  place: number;
}

class Batch<R extends SequenceRequest> {
  readonly #engine: Engine;
  readonly #pool: PromptPool;
  readonly #steps: DecodeSteps;
  #members: Member<R>[] = [];
  /** Holds the sequences that were last decoded together. */
  #cache: KvCache | null = null;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#pool = new PromptPool(engine.config);
    this.#steps = new DecodeSteps(engine);
  }

  get size(): number {
    return this.#members.length;
  }

  /** Prefills a sequence and adds it to the batch. */
  async *admit(request: R): AsyncGenerator<SequenceEvent<R>, void> {
    const options = { ...request.options, promptCache: this.#pool.in(request.options.promptCache) };
    const sequence = new Sequence(this.#engine.config, request.promptIds, options);
    try {
      const prefilled = await prefillPrompt(this.#engine, sequence);
      const kept = new Float32Array(this.#engine.config.vocabSize);
      this.#members.push({ request, sequence, kept, place: 0, ...prefilled });
    } catch (error) {
      yield { request, error };
    }
  }

  /** Chooses an id for each sequence, or several where a draft was right, and removes those that end. */
  *choose(): Generator<SequenceEvent<R>, void> {
    this.#gather(this.#members.filter(({ cache, logits }) => cache !== null && logits !== null));
    for (const member of [...this.#members]) {
      try {
        yield* this.#chooseFor(member);
      } catch (error) {
        yield* this.#fail([member], error);
      }
    }
  }

  /** Runs the newest id of every sequence. An error in a pass over one sequence does not touch the others. */
  async *step(): AsyncGenerator<SequenceEvent<R>, void> {
    for (const member of this.#members.filter(({ sequence }) => sequence.full)) {
      yield* await this.#attempt([member], () => this.#reprefill(member));
    }
    const waiting = this.#members.filter(({ logits, sequence }) => logits === null && !sequence.aborted);
    for (const member of waiting.filter(({ cache }) => cache === null)) {
      yield* await this.#attempt([member], () => {
        const [logits] = this.#engine.forward(lastOf(member.sequence.window), null);
        keepLogits(member, logits as Float32Array);
      });
    }
    const cached = waiting.filter(({ cache }) => cache !== null);
    if (cached.length > 0) {
      yield* await this.#attempt(cached, () => this.#stepTogether(cached));
    }
  }

  dispose(): void {
    for (const member of [...this.#members]) {
      this.#remove(member);
    }
    this.#cache?.dispose();
    this.#pool.dispose();
  }

  /** Does some work for `members`, and removes them from the batch if it fails. */
  async #attempt(members: readonly Member<R>[], work: () => void | Promise<void>): Promise<SequenceEvent<R>[]> {
    try {
      await work();
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

  /** Takes a sequence out of the common cache and prefills it anew, in a cache of its own. */
  async #reprefill(member: Member<R>): Promise<void> {
    const { sequence } = member;
    this.#free(member);
    member.cache = sequence.options.cache ? this.#engine.newCache() : null;
    member.place = 0;
    member.logits = await reprefill(this.#engine, sequence, member.cache);
  }

  #stepTogether(members: readonly Member<R>[]): void {
    const sequences = members.map(({ sequence }) => sequence);
    const logits = this.#steps.run(sequences, this.#gather(members) as KvCache);
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
    this.#members = this.#members.filter((other) => other !== member);
    this.#free(member);
    member.sequence.dispose();
  }

  #free({ cache }: Member<R>): void {
    if (cache !== this.#cache) {
      cache?.dispose();
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
