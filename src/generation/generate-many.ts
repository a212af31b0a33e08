// The loop over many sequences: each is prefilled alone, and all that run are decoded together, one forward pass for
// one token of each. A row that ends leaves the batch and the next one takes its place. Each has its own sampler, so
// its ids are those that it would have alone. Knows nothing of text or of where the rows come from.

import { setImmediate } from 'node:timers/promises';
import type { Engine } from '../engine/engine.js';
import type { Sampler } from '../sampling/sampler.js';
import { KvCache, type Sequences } from '../tf/tensor-cache.js';
import { prefillIds, prefillPrompt } from './prefill.js';
import { PromptPool } from './prompt-pool.js';
import { type FinishReason, type GenerateOptions, type GenerateStats, Sequence } from './sequence.js';

export interface RowRequest {
  readonly promptIds: readonly number[];
  readonly sampler: Sampler;
  readonly options: GenerateOptions;
  readonly stats: GenerateStats;
  /** Asked after each id: has its text come to an end? */
  isStopped(): boolean;
}

/** Where rows come from, one after the other. */
export interface RowSource<R> {
  /** The next one, if it is there. */
  take(): R | undefined;
  /** Resolves when there may be one; false: there will be none. */
  wait(): Promise<boolean>;
}

/** What came of a row: an id, its end, or what went wrong with it. */
export type RowEvent<R> = { readonly request: R } & (
  | { readonly id: number }
  | { readonly end: FinishReason }
  | { readonly error: unknown }
);

/**
 * Generates ids for every row of the source.
 * @param concurrency rows that are decoded together
 */
export async function* generateRows<R extends RowRequest>(
  engine: Engine,
  source: RowSource<R>,
  concurrency: number,
): AsyncGenerator<RowEvent<R>, void> {
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
interface Row<R> {
  readonly request: R;
  readonly sequence: Sequence;
  /** Of the next id. */
  logits: Float32Array | null;
  /** Its own, or the batch's; null: it runs uncached. */
  cache: KvCache | null;
  /** Its place in that. */
  index: number;
}

class Batch<R extends RowRequest> {
  readonly #engine: Engine;
  readonly #pool: PromptPool;
  #rows: Row<R>[] = [];
  /** Holds all rows that were decoded together last. */
  #cache: KvCache | null = null;
  #wasWide = false;
  #steps = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#pool = new PromptPool(engine.config);
  }

  get size(): number {
    return this.#rows.length;
  }

  /** Prefills a row, which is one of the batch then. */
  async *admit(request: R): AsyncGenerator<RowEvent<R>, void> {
    const options = { ...request.options, promptCache: this.#pool.in(request.options.promptCache) };
    const sequence = new Sequence(request.promptIds, options, request.stats);
    try {
      const prefilled = await prefillPrompt(this.#engine, sequence);
      const row = { request, sequence, index: 0, ...prefilled };
      this.#rows.push(row);
      this.#measureCache(row);
    } catch (error) {
      yield { request, error };
    }
  }

  /** One id for each row; those that end leave. */
  *choose(): Generator<RowEvent<R>, void> {
    this.#gather(this.#rows.filter(({ cache, logits }) => cache !== null && logits !== null));
    for (const row of [...this.#rows]) {
      try {
        const end = yield* this.#chooseFor(row);
        if (end !== null) {
          this.#remove(row);
          yield { request: row.request, end };
        }
      } catch (error) {
        yield* this.#fail([row], error);
      }
    }
  }

  /** Runs the newest id of every row. What goes wrong with one alone leaves the others as they are. */
  async *step(): AsyncGenerator<RowEvent<R>, void> {
    for (const row of this.#rows.filter(({ sequence }) => sequence.full)) {
      yield* await this.#attempt([row], () => this.#reprefill(row));
    }
    const waiting = this.#rows.filter(({ logits, sequence }) => logits === null && !sequence.aborted);
    for (const row of waiting.filter(({ cache }) => cache === null)) {
      yield* await this.#attempt([row], () => {
        row.logits = this.#engine.forward(row.sequence.window, null);
      });
    }
    const cached = waiting.filter(({ cache }) => cache !== null);
    if (cached.length > 0) {
      yield* await this.#attempt(cached, () => this.#stepTogether(cached));
    }
  }

  dispose(): void {
    for (const row of [...this.#rows]) {
      this.#remove(row);
    }
    this.#cache?.dispose();
    this.#pool.dispose();
  }

  /** Rows whose work fails leave the batch. */
  async #attempt(rows: readonly Row<R>[], work: () => void | Promise<void>): Promise<RowEvent<R>[]> {
    try {
      await work();
      return [];
    } catch (error) {
      return this.#fail(rows, error);
    }
  }

  #fail(rows: readonly Row<R>[], error: unknown): RowEvent<R>[] {
    for (const row of rows) {
      this.#remove(row);
    }
    return rows.map(({ request }) => ({ request, error }));
  }

  /** @returns why the row ends; null: it goes on */
  *#chooseFor(row: Row<R>): Generator<RowEvent<R>, FinishReason | null> {
    const { request, sequence, logits } = row;
    const { options, stats } = sequence;
    if (logits === null || sequence.aborted) {
      return 'abort';
    }
    if (stats.generationTokens >= options.maxTokens) {
      return 'length';
    }
    const id = request.sampler(logits, sequence.ids);
    if (options.stopIds.includes(id)) {
      return 'stop';
    }
    row.logits = null;
    sequence.accept(id, this.#engine.numTensors());
    yield { request, id };
    return request.isStopped() ? 'stop' : sequence.end;
  }

  /** Its keys and values leave the batch, and come back as those of a row that has just been prefilled. */
  async #reprefill(row: Row<R>): Promise<void> {
    const { sequence } = row;
    sequence.shorten();
    this.#free(row);
    row.cache = sequence.options.cache ? this.#engine.newCache() : null;
    row.index = 0;
    row.logits = await prefillIds(this.#engine, sequence.window, row.cache, sequence.options);
    this.#measureCache(row);
  }

  /** Captures for several rows as soon as there are some, and for good: the last one left runs on in the same way. */
  #stepTogether(rows: readonly Row<R>[]): void {
    this.#wasWide ||= rows.length > 1;
    const steps = Math.max(this.#steps++, ...rows.map(({ sequence }) => sequence.options.maxTokens - 1));
    this.#engine.prepare?.(this.#wasWide ? 'batch' : 'decode', steps);
    const cache = this.#gather(rows) as KvCache;
    const ids = rows.map(({ sequence }) => sequence.window.slice(-1));
    const values = this.#engine.forwardRows({ ids, wanted: rows.map((_, b) => b) }, cache);
    const { vocabSize } = this.#engine.config;
    for (const [b, row] of rows.entries()) {
      row.logits = values.subarray(b * vocabSize, (b + 1) * vocabSize);
      this.#measureCache(row);
    }
  }

  /** One cache of these rows, in their order; made anew only when a row has come or gone. */
  #gather(rows: readonly Row<R>[]): KvCache | null {
    const current = this.#cache;
    const isSame = rows.every(({ cache, index }, b) => cache === current && index === b);
    if (rows.length === 0 || (isSame && current?.lengths.length === rows.length)) {
      return current;
    }
    const old = new Set([current, ...rows.map(({ cache }) => cache)]);
    this.#cache =
      rows.length === 1 && rows[0]?.cache !== current ? (rows[0]?.cache as KvCache) : KvCache.gather(sources(rows));
    for (const cache of old) {
      cache === this.#cache || cache?.dispose();
    }
    for (const [b, row] of rows.entries()) {
      row.cache = this.#cache;
      row.index = b;
    }
    return this.#cache;
  }

  /** What a cache of its own would hold: the padding before a shorter row is not its. */
  #measureCache({ sequence, cache }: Row<R>): void {
    const { nLayer, nEmbd } = this.#engine.config;
    const positions = cache === null ? 0 : sequence.window.length;
    sequence.stats.cachePositions = positions;
    sequence.stats.cacheBytes = 2 * nLayer * nEmbd * 4 * positions;
  }

  #remove(row: Row<R>): void {
    this.#rows = this.#rows.filter((other) => other !== row);
    this.#free(row);
  }

  #free({ cache }: Row<R>): void {
    if (cache !== this.#cache) {
      cache?.dispose();
    }
  }
}

/** Rows side by side that are in one cache are taken from it together. */
function sources<R>(rows: readonly Row<R>[]): Sequences[] {
  const found: { cache: KvCache; rows: number[] }[] = [];
  for (const { cache, index } of rows) {
    const last = found.at(-1);
    if (last !== undefined && last.cache === cache) {
      last.rows.push(index);
    } else {
      found.push({ cache: cache as KvCache, rows: [index] });
    }
  }
  return found;
}
