// The loop over many sequences: each is prefilled alone, and all that run are decoded together, one forward pass for
// one token of each. A sequence that ends leaves the batch and the next one takes its place. Each has its own sampler,
// so its ids are those that it would have alone. Knows nothing of text or of where the requests come from.

import { setImmediate } from 'node:timers/promises';
import type { Engine } from '../engine/engine.js';
import type { KvCache, Sequences } from '../engine/kv-cache.js';
import type { Sampler } from '../sampling/sampler.js';
import { lastOf, prefillPrompt, reprefill } from './prefill.js';
import { PromptPool } from './prompt-pool.js';
import { type Ending, type GeneratedId, Sequence, type SequenceOptions } from './sequence.js';

export interface SequenceRequest {
  readonly promptIds: readonly number[];
  readonly sampler: Sampler;
  readonly options: SequenceOptions;
}

/** Where requests come from, one after the other. */
export interface RequestSource<R> {
  /** The next one, if it is there. */
  take(): R | undefined;
  /** Resolves when there may be one; false: there will be none. */
  wait(): Promise<boolean>;
}

/** What came of a request: an id, its end, or what went wrong with it. */
export type SequenceEvent<R> = { readonly request: R } & (
  | { readonly token: GeneratedId }
  | { readonly end: Ending }
  | { readonly error: unknown }
);

/**
 * Generates ids for every request of the source.
 * @param concurrency sequences that are decoded together
 */
export async function* generateMany<R extends SequenceRequest>(
  engine: Engine,
  source: RequestSource<R>,
  concurrency: number,
): AsyncGenerator<SequenceEvent<R>, void> {
  const batch = new Batch<R>(engine);
  try {
    for (;;) {
      for (let next = take(); next !== undefined; next = take()) {
        yield* batch.admit(next);
      }
      if (batch.size > 0) {
        yield* batch.choose();
        await setImmediate(); // native calls block the event loop: signals and closed pipes are noticed here
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

/** A sequence among others, and where its keys and values are. */
interface Member<R> {
  readonly request: R;
  readonly sequence: Sequence;
  /** Of the next id. */
  logits: Float32Array | null;
  /** Its own, or the batch's; null: it runs uncached. */
  cache: KvCache | null;
  /** Its place in that. */
  place: number;
}

class Batch<R extends SequenceRequest> {
  readonly #engine: Engine;
  readonly #pool: PromptPool;
  #members: Member<R>[] = [];
  /** Holds all that were decoded together last. */
  #cache: KvCache | null = null;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#pool = new PromptPool(engine.config);
  }

  get size(): number {
    return this.#members.length;
  }

  /** Prefills a sequence, which is one of the batch then. */
  async *admit(request: R): AsyncGenerator<SequenceEvent<R>, void> {
    const options = { ...request.options, promptCache: this.#pool.in(request.options.promptCache) };
    const sequence = new Sequence(this.#engine.config, request.promptIds, options);
    try {
      const prefilled = await prefillPrompt(this.#engine, sequence);
      this.#members.push({ request, sequence, place: 0, ...prefilled });
    } catch (error) {
      yield { request, error };
    }
  }

  /** One id for each sequence; those that end leave. */
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

  /** Runs the newest id of every sequence. What goes wrong with one alone leaves the others as they are. */
  async *step(): AsyncGenerator<SequenceEvent<R>, void> {
    for (const member of this.#members.filter(({ sequence }) => sequence.full)) {
      yield* await this.#attempt([member], () => this.#reprefill(member));
    }
    const waiting = this.#members.filter(({ logits, sequence }) => logits === null && !sequence.aborted);
    for (const member of waiting.filter(({ cache }) => cache === null)) {
      yield* await this.#attempt([member], () => {
        [member.logits = null] = this.#engine.forward(lastOf(member.sequence.window), null);
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

  /** Sequences whose work fails leave the batch. */
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
    const { request, sequence, logits } = member;
    const next = sequence.choose(logits, request.sampler, this.#engine.numTensors());
    member.logits = null;
    if (typeof next !== 'string') {
      yield { request, token: next };
    }
    const end = typeof next === 'string' ? next : sequence.end;
    if (end !== null) {
      this.#remove(member);
      yield { request, end: sequence.ending(end) };
    }
  }

  /** Its keys and values leave the batch, and come back as those of a sequence that has just been prefilled. */
  async #reprefill(member: Member<R>): Promise<void> {
    const { sequence } = member;
    this.#free(member);
    member.cache = sequence.options.cache ? this.#engine.newCache() : null;
    member.place = 0;
    member.logits = await reprefill(this.#engine, sequence, member.cache);
  }

  #stepTogether(members: readonly Member<R>[]): void {
    const cache = this.#gather(members);
    const ids = members.map(({ sequence }) => sequence.window.slice(-1));
    const logits = this.#engine.forward({ ids, wanted: members.map((_, b) => b) }, cache);
    for (const [b, member] of members.entries()) {
      member.logits = logits[b] as Float32Array;
      member.sequence.ran(member.sequence.window.length); // the padding before a shorter sequence is not its own
    }
  }

  /** One cache of these sequences, in their order; made anew only when one has come or gone. */
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
  }

  #free({ cache }: Member<R>): void {
    if (cache !== this.#cache) {
      cache?.dispose();
    }
  }
}

/** Sequences side by side that are in one cache are taken from it together. */
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
