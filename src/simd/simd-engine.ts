// The WebAssembly engine: cuts a pass into pieces of tokens that run together, tells the threads where the blocks of each
// sequence are, and reads the logits. Every piece gives the same bits as one whole pass. Knows nothing of text or sampling.

import type { Engine, ForwardPart, Pass } from '../engine/engine.js';
import type { KvCache, Sequences } from '../engine/kv-cache.js';
import type { KvRows } from '../engine/kv-rows.js';
import type { ModelConfig } from '../model/config.js';
import { BlockCache } from './block-cache.js';
import type { BlockPool } from './blocks.js';
import { IDS, POSITIONS, TABLES, WANTED } from './control.js';
import { MAX_TOKENS } from './gpt2-plan.js';
import { forwardJob } from './jobs.js';
import type { Pointer } from './kernels.js';
import type { LinearMemory } from './linear-memory.js';
import type { Matrix } from './matrix.js';
import type { SimdModel } from './simd-model.js';
import type { Team } from './team.js';

/** A token of a pass: of which sequence, and which of its new ones. */
interface Token {
  readonly b: number;
  readonly t: number;
}

export class SimdEngine implements Engine {
  readonly name = 'simd';
  readonly config: ModelConfig;
  readonly parameters: number;
  readonly #model: SimdModel;
  readonly #head: Matrix;
  readonly #team: Team;
  readonly #pool: BlockPool;
  readonly #tables: Pointer;
  #disposed = false;

  /**
   * @param head what gives the logits
   * @param team the engine's own from here on
   */
  constructor(model: SimdModel, head: Matrix, parameters: number, team: Team, pool: BlockPool) {
    this.config = model.config;
    this.parameters = parameters;
    this.#model = model;
    this.#head = head;
    this.#team = team;
    this.#pool = pool;
    this.#tables = pool.memory.reserve(4 * MAX_TOKENS * this.#tableLength);
  }

  /** For export-weights.ts. */
  get laid(): { readonly model: SimdModel; readonly head: Matrix; readonly memory: LinearMemory } {
    return { model: this.#model, head: this.#head, memory: this.#pool.memory };
  }

  newCache(positions?: KvRows): KvCache {
    const cache = new BlockCache(this.#pool, this.config.headDim);
    if (positions !== undefined && positions.length > 0) {
      cache.import(positions);
    }
    return cache;
  }

  gather(sources: readonly Sequences[]): KvCache {
    return BlockCache.gather(sources, this.#pool, this.config.headDim);
  }

  forward(pass: Pass, cache: KvCache | null, onPart?: (part: ForwardPart) => void): readonly Float32Array[] {
    const own = cache === null ? new BlockCache(this.#pool, this.config.headDim) : BlockCache.from(cache, this.#pool);
    try {
      const T = (pass.ids[0] as readonly number[]).length;
      if (own.length + T > this.config.nPositions) {
        throw new RangeError(`forward: expected at most ${this.config.nPositions} positions, found ${own.length + T}`);
      }
      own.makeRoom(pass.ids.length, T);
      onPart?.('feed');
      const logits = this.#run(pass, own);
      onPart?.('graph');
      own.grow(T);
      onPart?.('read');
      return logits;
    } finally {
      if (cache === null) {
        own.dispose();
      }
    }
  }

  numTensors(): number {
    return 0; // its weights, keys and values lie in linear memory
  }

  dispose(): void {
    if (!this.#disposed) {
      this.#disposed = true;
      this.#team.stop();
    }
  }

  /** Words of the largest table of blocks. */
  get #tableLength(): number {
    return Math.ceil(this.config.nPositions / this.#pool.shape.positions);
  }

  /** Runs the tokens of a pass piece by piece, in order, so that each piece sees the keys of those before. */
  #run({ ids, wanted }: Pass, cache: BlockCache): Float32Array[] {
    const tokens = ids.flatMap((sequence, b) => sequence.map((_, t): Token => ({ b, t })));
    const found = new Map<number, Float32Array>();
    for (let first = 0; first < tokens.length; first += MAX_TOKENS) {
      const piece = tokens.slice(first, first + MAX_TOKENS);
      const here = wanted.filter((index) => index >= first && index < first + piece.length);
      this.#write(
        piece,
        ids,
        cache,
        here.map((index) => index - first),
      );
      this.#team.run(forwardJob(piece.length, here.length, this.#head));
      const isOnly = here.length === wanted.length;
      for (const [n, index] of here.entries()) {
        const logits = this.#logits(n);
        found.set(index, isOnly ? logits : logits.slice()); // the next piece writes over them
      }
    }
    return wanted.map((index) => found.get(index) as Float32Array);
  }

  /** Writes what the threads are to know of a piece. */
  #write(piece: readonly Token[], ids: Pass['ids'], cache: BlockCache, wanted: readonly number[]): void {
    const { memory } = this.#pool;
    const idWords = memory.words(IDS, MAX_TOKENS);
    const positionWords = memory.words(POSITIONS, MAX_TOKENS);
    const tableWords = memory.words(TABLES, MAX_TOKENS);
    memory.words(WANTED, MAX_TOKENS).set(wanted);
    for (const [i, { b, t }] of piece.entries()) {
      idWords[i] = ids[b]?.[t] as number;
      positionWords[i] = (cache.sequences[b]?.length as number) + t;
      tableWords[i] = i > 0 && piece[i - 1]?.b === b ? (tableWords[i - 1] as number) : this.#writeTable(i, cache, b);
    }
  }

  /** @returns where the table of a sequence's blocks is */
  #writeTable(place: number, cache: BlockCache, b: number): Pointer {
    const at = this.#tables + 4 * place * this.#tableLength;
    const blocks = cache.sequences[b]?.blocks ?? [];
    this.#pool.memory.words(at, blocks.length).set(blocks.map((block) => block.at));
    return at;
  }

  #logits(n: number): Float32Array {
    const { logits, logitsStride } = this.#model.plan;
    return this.#pool.memory.floats(logits + 4 * n * logitsStride, this.config.vocabSize);
  }
}
