// The WebAssembly engine: cuts a pass into pieces of tokens that run together, tells the threads where the blocks of each
// sequence are, and reads the logits. Every piece gives the same bits as one whole pass. Knows nothing of text or sampling.

import type { Engine, ForwardPart, Pass } from '../engine/engine.js';
import type { KvCache, Sequences } from '../engine/kv-cache.js';
import type { KvRows } from '../engine/kv-rows.js';
import type { ModelConfig } from '../model/config.js';
import { AttentionReader } from './attention-reader.js';
import { BlockCache, type BlockSequence } from './block-cache.js';
import type { BlockPool, KvBlock } from './blocks.js';
import { IDS, MAX_TOKENS, POSITIONS, TABLES, WANTED } from './control.js';
import { forwardJob } from './jobs.js';
import type { Pointer } from './kernels.js';
import type { LinearMemory } from './linear-memory.js';
import type { Matrix } from './matrix.js';
import { PassRoom } from './pass-room.js';
import type { SimdModel } from './simd-model.js';
import type { Team } from './team.js';

export class SimdEngine implements Engine {
  readonly name = 'simd';
  readonly ragged = true;
  readonly passCost = null;
  readonly config: ModelConfig;
  readonly parameters: number;
  readonly #model: SimdModel;
  readonly #head: Matrix;
  readonly #team: Team;
  readonly #pool: BlockPool;
  readonly #room: PassRoom;
  // The words of a piece, as `Tokens` describes them.
  readonly #ids: Uint32Array;
  readonly #positions: Uint32Array;
  readonly #tablesOf: Uint32Array;
  readonly #wanted: Uint32Array;
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
    this.#room = new PassRoom(pool.memory, team.threads, pool.shape.positions);
    const words = (at: Pointer) => pool.memory.words(at, MAX_TOKENS);
    [this.#ids, this.#positions, this.#tablesOf, this.#wanted] = [
      words(IDS),
      words(POSITIONS),
      words(TABLES),
      words(WANTED),
    ];
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
      const counts = pass.ids.map(({ length }) => length);
      this.#checkRoom(counts, own.lengths);
      own.makeRoom(counts);
      this.#room.grow(longestOf(counts, own.lengths));
      onPart?.('feed');
      const logits = this.#runOrShow(pass, own, counts);
      onPart?.('graph');
      own.grow(counts);
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

  /** @throws RangeError when a sequence would be longer than the model's positions */
  #checkRoom(counts: readonly number[], lengths: readonly number[]): void {
    const longest = longestOf(counts, lengths);
    if (longest > this.config.nPositions) {
      throw new RangeError(`forward: expected at most ${this.config.nPositions} positions, found ${longest}`);
    }
  }

  /** Runs the tokens of a pass, and shows what heads look at where somebody asks. */
  #runOrShow(pass: Pass, cache: BlockCache, counts: readonly number[]): Float32Array[] {
    const { onAttention } = pass;
    if (onAttention === undefined) {
      return this.#run(pass, cache, sum(counts), MAX_TOKENS, null);
    }
    const columns = longestOf(counts, cache.lengths);
    const reader = new AttentionReader(this.#pool.memory, this.config, columns, onAttention);
    try {
      return this.#run(pass, cache, sum(counts), reader.tokens, reader);
    } finally {
      reader.dispose();
    }
  }

  /**
   * Runs the tokens of a pass piece by piece, in order, so that each piece sees the keys of those before. Plain loops: whatever is
   * called here is compiled while the first tokens are made, on a core that they need.
   */
  #run(
    { ids, wanted }: Pass,
    cache: BlockCache,
    tokens: number,
    most: number,
    reader: AttentionReader | null,
  ): Float32Array[] {
    const logits: Float32Array[] = [];
    let [b, t] = [0, 0];
    for (let first = 0; first < tokens; first += most) {
      const count = Math.min(most, tokens - first);
      reader?.begin();
      for (let i = 0; i < count; i++) {
        this.#writeToken(i, b, t, ids, cache);
        reader?.expect(b, this.#positions[i] as number);
        t++;
        if (t === (ids[b] as readonly number[]).length) {
          b++;
          t = 0;
        }
      }
      const here = indicesWithin(wanted, first, first + count);
      for (let n = 0; n < here.length; n++) {
        this.#wanted[n] = (wanted[here[n] as number] as number) - first;
      }
      this.#team.run(forwardJob(count, here.length, this.#head, this.#room, reader?.room));
      reader?.read();
      for (let n = 0; n < here.length; n++) {
        const view = this.#logits(n);
        logits[here[n] as number] = here.length === wanted.length ? view : view.slice(); // the next piece writes over it
      }
    }
    return logits;
  }

  /** Writes what the threads are to know of token t of sequence b, as number i of the piece. */
  #writeToken(i: number, b: number, t: number, ids: Pass['ids'], cache: BlockCache): void {
    const sequence = cache.sequences[b] as BlockSequence;
    this.#ids[i] = (ids[b] as readonly number[])[t] as number;
    this.#positions[i] = sequence.length + t;
    const isSame = i > 0 && t > 0;
    this.#tablesOf[i] = isSame ? (this.#tablesOf[i - 1] as number) : this.#writeTable(i, sequence);
  }

  /** @returns where the table of a sequence's blocks is */
  #writeTable(place: number, { blocks }: BlockSequence): Pointer {
    const at = this.#room.tables + place * this.#room.tableBytes;
    const words = this.#pool.memory.words(at, blocks.length);
    for (let i = 0; i < blocks.length; i++) {
      words[i] = (blocks[i] as KvBlock).at;
    }
    return at;
  }

  #logits(n: number): Float32Array {
    const { logits, logitsStride } = this.#model.plan;
    return this.#pool.memory.floats(logits + 4 * n * logitsStride, this.config.vocabSize);
  }
}

/** Positions of the longest sequence when all have so many more. */
function longestOf(counts: readonly number[], lengths: readonly number[]): number {
  return Math.max(...counts.map((count, b) => (lengths[b] ?? 0) + count));
}

function sum(counts: readonly number[]): number {
  return counts.reduce((all, count) => all + count, 0);
}

/** Where in `wanted` the tokens from … to are. */
function indicesWithin(wanted: readonly number[], from: number, to: number): number[] {
  const found: number[] = [];
  for (let i = 0; i < wanted.length; i++) {
    const token = wanted[i] as number;
    if (token >= from && token < to) {
      found.push(i);
    }
  }
  return found;
}
