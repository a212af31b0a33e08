// The KV cache of the WebAssembly engine: for each sequence a length and a list of blocks. To append writes in place, to
// truncate moves the length, and forks and batches share blocks until one of them writes. Every position of a sequence is
// counted from 0 whatever stands beside it, so there is no padding. Knows nothing of weights or kernels.

import { checkExport, checkTruncate, checkTruncateEach, type KvCache, type Sequences } from '../engine/kv-cache.js';
import type { KvRows } from '../engine/kv-rows.js';
import { bytesPerPosition } from '../model/config.js';
import { type BlockPool, blockBytes, type KvBlock, offsets } from './blocks.js';
import type { Pointer } from './kernels.js';

/** One sequence: the blocks of its positions, in order. */
export interface BlockSequence {
  length: number;
  readonly blocks: KvBlock[];
}

export class BlockCache implements KvCache {
  expected = 0;
  readonly #pool: BlockPool;
  /** Numbers of a head, which in memory are filled up. */
  readonly #headDim: number;
  #sequences: BlockSequence[] = [];

  constructor(pool: BlockPool, headDim: number) {
    this.#pool = pool;
    this.#headDim = headDim;
  }

  /** @throws Error for the cache of another engine */
  static from(cache: KvCache, pool: BlockPool): BlockCache {
    if (!(cache instanceof BlockCache) || cache.#pool !== pool) {
      throw new Error('the cache belongs to another engine');
    }
    return cache;
  }

  get length(): number {
    return Math.max(0, ...this.lengths);
  }

  get lengths(): readonly number[] {
    return this.#sequences.map(({ length }) => length);
  }

  get byteSize(): number {
    const positions = this.lengths.reduce((sum, length) => sum + length, 0);
    return positions * bytesPerPosition({ ...this.#pool.shape, headDim: this.#headDim });
  }

  get sequences(): readonly BlockSequence[] {
    return this.#sequences;
  }

  /**
   * Makes room for more positions of each sequence, in blocks that no one else holds.
   * @param counts how many, by sequence
   * @throws KvgenError when the memory is full; the cache then holds what it did
   */
  makeRoom(counts: readonly number[]): void {
    const wasEmpty = this.#sequences.length === 0;
    if (wasEmpty) {
      this.#sequences = counts.map(() => ({ length: 0, blocks: [] }));
    }
    try {
      this.#takeBlocks(counts);
    } catch (error) {
      if (wasEmpty) {
        this.dispose();
      }
      throw error;
    }
  }

  #takeBlocks(counts: readonly number[]): void {
    const { positions } = this.#pool.shape;
    for (const [b, { blocks, length }] of this.#sequences.entries()) {
      for (let i = Math.floor(length / positions); i * positions < length + (counts[b] as number); i++) {
        const block = blocks[i];
        blocks[i] = block === undefined ? this.#pool.take() : this.#pool.own(block);
      }
    }
  }

  /** Counts the positions that a pass has written, by sequence. */
  grow(counts: readonly number[]): void {
    for (const [b, sequence] of this.#sequences.entries()) {
      sequence.length += counts[b] as number;
    }
  }

  truncate(length: number): void {
    checkTruncate(length, this.length);
    if (length === 0) {
      this.dispose();
      return;
    }
    const removed = this.length - length;
    for (const sequence of this.#sequences) {
      this.#cut(sequence, Math.max(0, sequence.length - removed));
    }
  }

  truncateEach(lengths: readonly number[]): void {
    checkTruncateEach(lengths, this.lengths);
    for (const [b, sequence] of this.#sequences.entries()) {
      this.#cut(sequence, lengths[b] as number);
    }
  }

  #cut(sequence: BlockSequence, length: number): void {
    sequence.length = length;
    const needed = Math.ceil(length / this.#pool.shape.positions);
    for (const block of sequence.blocks.splice(needed)) {
      this.#pool.release(block);
    }
  }

  /** Copies nothing: both share their blocks until one writes. */
  fork(): BlockCache {
    const fork = new BlockCache(this.#pool, this.#headDim);
    fork.#sequences = this.#sequences.map(shared);
    return fork;
  }

  /** A cache of the named sequences of all `sources`, in order; one may be named several times. Copies nothing. */
  static gather(sources: readonly Sequences[], pool: BlockPool, headDim: number): BlockCache {
    const gathered = new BlockCache(pool, headDim);
    const caches = sources.map(({ cache }) => BlockCache.from(cache, pool));
    gathered.#sequences = sources.flatMap(({ places }, i) =>
      places.map((b) => shared(caches[i]?.sequences[b] as BlockSequence)),
    );
    gathered.expected = gathered.length + Math.max(...sources.map(({ cache }) => cache.expected - cache.length));
    return gathered;
  }

  export(from: number, to: number): KvRows {
    checkExport(from, to, this.length);
    const { nLayer, nKvHead } = this.#pool.shape;
    const numbers = nKvHead * (to - from) * this.#headDim;
    const layers = Array.from({ length: nLayer }, () => ({
      k: new Float32Array(numbers),
      v: new Float32Array(numbers),
    }));
    const rows = { length: to - from, nKvHead, headDim: this.#headDim, layers };
    this.#walk(rows, from, (inMemory, inRows) => inRows.set(inMemory));
    return rows;
  }

  /** Begins an empty cache with these positions of one sequence. */
  import(rows: KvRows): void {
    this.makeRoom([rows.length]);
    if (this.#headDim !== this.#pool.shape.headDim) {
      this.#clear(); // what fills up a head must be zeros
    }
    this.#walk(rows, 0, (inMemory, inRows) => inMemory.set(inRows));
    this.grow([rows.length]);
  }

  dispose(): void {
    for (const block of this.#sequences.flatMap(({ blocks }) => blocks)) {
      this.#pool.release(block);
    }
    this.#sequences = [];
  }

  #clear(): void {
    for (const { at } of this.#sequences.flatMap(({ blocks }) => blocks)) {
      this.#pool.memory.bytes(at, blockBytes(this.#pool.shape)).fill(0);
    }
  }

  /** Visits the keys and values of the first sequence from position `from` on, in memory and in `rows`, run by run. */
  #walk(
    { length, nKvHead, headDim, layers }: KvRows,
    from: number,
    visit: (inMemory: Float32Array, inRows: Float32Array) => void,
  ): void {
    const { shape } = this.#pool;
    const numbers = this.#pool.memory.allFloats();
    for (const { at, start, count } of this.#runs(from, length)) {
      for (const [layer, { k, v }] of layers.entries()) {
        for (let head = 0; head < nKvHead; head++) {
          const { keys, values } = offsets(shape, layer, head);
          const inRows = (head * length + start) * headDim;
          const both = [[keys, k] as const, [values, v] as const];
          for (const [offset, array] of both) {
            const inMemory = (at + offset) / 4;
            visit(
              numbers.subarray(inMemory, inMemory + count * headDim),
              array.subarray(inRows, inRows + count * headDim),
            );
          }
        }
      }
    }
  }

  /** Where positions from … from + length lie: runs that are unbroken in memory, each of one block or less. */
  *#runs(from: number, length: number): Generator<{ at: Pointer; start: number; count: number }, void> {
    const { positions, headDim } = this.#pool.shape;
    const isFilledUp = headDim !== this.#headDim;
    for (let start = 0, count: number; start < length; start += count) {
      const place = (from + start) % positions;
      count = isFilledUp ? 1 : Math.min(positions - place, length - start);
      const block = this.#sequences[0]?.blocks[Math.floor((from + start) / positions)] as KvBlock;
      yield { at: block.at + 4 * place * headDim, start, count };
    }
  }
}

function shared({ length, blocks }: BlockSequence): BlockSequence {
  for (const block of blocks) {
    block.holders++;
  }
  return { length, blocks: [...blocks] };
}
