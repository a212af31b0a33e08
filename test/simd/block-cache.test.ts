// The cache of the WebAssembly engine against plain arrays. No kernel runs: each number of a position says whose it is.

import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { KvRows } from '../../src/engine/kv-rows.js';
import { KvgenError } from '../../src/errors.js';
import { BlockCache } from '../../src/simd/block-cache.js';
import { BlockPool, type BlockShape, blockBytes, offsets } from '../../src/simd/blocks.js';
import { LinearMemory } from '../../src/simd/linear-memory.js';
import { expectFailure } from '../support/errors.js';
import { MockCache } from '../support/mock-engine.js';

const P = 4;
const SHAPE = { positions: P, nLayer: 2, nKvHead: 3, headDim: 8 };
/** Filled up to 8. */
const ODD = 6;

/** One for each position that was ever written. */
let marks = 0;
let pool: BlockPool;

beforeEach(() => {
  marks = 0;
  pool = new BlockPool(SHAPE, new LinearMemory(65_536));
});

/** The number that a position with this mark has there; different for each place, and exact in float32. */
const numberOf = (mark: number, layer: number, kind: number, head: number, d: number) =>
  (((mark * SHAPE.nLayer + layer) * 2 + kind) * SHAPE.nKvHead + head) * SHAPE.headDim + d;

/** Visits each number of a position: whose it is, and where it lies. */
function visit(
  cache: BlockCache,
  sequence: number,
  position: number,
  see: (numbers: Float32Array, place: number, number: (mark: number) => number) => void,
): void {
  const block = cache.sequences[sequence]?.blocks[Math.floor(position / P)];
  if (block === undefined) {
    throw new Error(`sequence ${sequence} has no block for position ${position}`);
  }
  const numbers = pool.memory.floats(block.at, blockBytes(SHAPE) / 4);
  for (let layer = 0; layer < SHAPE.nLayer; layer++) {
    for (let head = 0; head < SHAPE.nKvHead; head++) {
      const { keys, values } = offsets(SHAPE, layer, head);
      for (const [kind, offset] of [keys, values].entries()) {
        for (let d = 0; d < SHAPE.headDim; d++) {
          const place = offset / 4 + (position % P) * SHAPE.headDim + d;
          see(numbers, place, (mark) => numberOf(mark, layer, kind, head, d));
        }
      }
    }
  }
}

/** As a pass over T ids of each sequence does it. Returns the marks of each sequence. */
function append(cache: BlockCache, T: number, count = Math.max(1, cache.lengths.length)): number[][] {
  return appendEach(cache, Array<number>(count).fill(T));
}

/** The same over so many ids of each: makes room, writes, counts. */
function appendEach(cache: BlockCache, counts: readonly number[]): number[][] {
  cache.makeRoom(counts);
  const written = cache.sequences.map(({ length }, b) =>
    Array.from({ length: counts[b] as number }, (_, t) => {
      const mark = ++marks;
      visit(cache, b, length + t, (numbers, place, number) => {
        numbers[place] = number(mark);
      });
      return mark;
    }),
  );
  cache.grow(counts);
  return written;
}

/** The mark of each position of each sequence, once every number of it is as it was written. */
function contents(cache: BlockCache): number[][] {
  return cache.sequences.map(({ length }, b) =>
    Array.from({ length }, (_, position) => {
      let found: number | undefined;
      visit(cache, b, position, (numbers, place, number) => {
        const per = number(1) - number(0);
        found ??= ((numbers[place] as number) - number(0)) / per;
        if (numbers[place] !== number(found)) {
          throw new Error(`sequence ${b}, position ${position}: ${numbers[place]} is not of mark ${found}`);
        }
      });
      return found as number;
    }),
  );
}

const cacheOf = (length: number) => {
  const cache = new BlockCache(pool, SHAPE.headDim);
  append(cache, length);
  return cache;
};
const blocksOf = (length: number) => Math.ceil(length / P);
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

describe('append', () => {
  it.each([1, 3, 4, 5, 8, 9, 23])('in parts of %i keeps all that was written, in as few blocks as it takes', (part) => {
    const cache = new BlockCache(pool, SHAPE.headDim);
    for (let length = 0; length < 24; length += part) {
      const step = Math.min(part, 24 - length);
      append(cache, step);
      expect([cache.length, pool.used]).toEqual([length + step, blocksOf(length + step)]);
    }
    expect(contents(cache)).toEqual([range(1, 25)]);
    expect(cache.byteSize).toBe(24 * 2 * 2 * 3 * 8 * 4);
    cache.dispose();
    expect(pool.used).toBe(0);
  });

  it('to several sequences at once gives each its own blocks', () => {
    const cache = new BlockCache(pool, ODD);
    append(cache, 5, 3);
    append(cache, 2);
    expect(contents(cache)).toEqual([
      [...range(1, 6), 16, 17],
      [...range(6, 11), 18, 19],
      [...range(11, 16), 20, 21],
    ]);
    expect([cache.lengths, cache.length, pool.used]).toEqual([[7, 7, 7], 7, 6]);
    expect(cache.byteSize).toBe(21 * 2 * 2 * 3 * ODD * 4); // what fills up does not count
  });

  it('an empty cache has no sequences, no length and no bytes', () => {
    const cache = new BlockCache(pool, SHAPE.headDim);
    expect([cache.lengths, cache.length, cache.byteSize, pool.used]).toEqual([[], 0, 0, 0]);
  });
});

describe('truncate', () => {
  it.each([1, 3, 4, 5, 7, 8, 9])('to %i keeps what is before, frees what is behind, and may go on', (length) => {
    const cache = cacheOf(9);
    cache.truncate(length);
    expect([contents(cache), cache.length, pool.used]).toEqual([[range(1, length + 1)], length, blocksOf(length)]);
    append(cache, 6);
    expect(contents(cache)).toEqual([[...range(1, length + 1), ...range(10, 16)]]);
    expect(pool.used).toBe(blocksOf(length + 6));
  });

  it('to 0 empties it, and it may be used again with another number of sequences', () => {
    const cache = new BlockCache(pool, SHAPE.headDim);
    append(cache, 5, 2);
    cache.truncate(0);
    expect([cache.lengths, cache.length, pool.used]).toEqual([[], 0, 0]);
    append(cache, 2, 3);
    expect(contents(cache)).toEqual([
      [11, 12],
      [13, 14],
      [15, 16],
    ]);
  });

  it('removes from the end of every sequence as many positions as from the longest', () => {
    const [long, short, middle] = [cacheOf(10), cacheOf(3), cacheOf(6)];
    const cache = BlockCache.gather(
      [long, short, middle].map((one) => ({ cache: one, places: [0] })),
      pool,
      8,
    );
    cache.truncate(8);
    expect([cache.lengths, cache.length]).toEqual([[8, 1, 4], 8]);
    expect(contents(cache)).toEqual([range(1, 9), [11], range(14, 18)]);
    cache.truncate(6);
    expect([cache.lengths, contents(cache)]).toEqual([
      [6, 0, 2],
      [range(1, 7), [], [14, 15]],
    ]);
    append(cache, 1);
    expect(contents(cache)).toEqual([[...range(1, 7), 20], [21], [14, 15, 22]]);
    expect([long, short, middle].map(contents)).toEqual([[range(1, 11)], [range(11, 14)], [range(14, 20)]]);
  });

  it.each([-1, 11, 1.5, Number.NaN, Number.POSITIVE_INFINITY])('refuses %d and keeps what it holds', (length) => {
    const cache = cacheOf(10);
    expect(() => cache.truncate(length)).toThrow(new RangeError(`truncate: expected 0 … 10, found ${length}`));
    expect(contents(cache)).toEqual([range(1, 11)]);
  });

  it('of an empty cache takes 0 alone', () => {
    const cache = new BlockCache(pool, SHAPE.headDim);
    cache.truncate(0);
    expect(() => cache.truncate(1)).toThrow(new RangeError('truncate: expected 0 … 0, found 1'));
  });
});

describe('truncateEach', () => {
  it('cuts each sequence to its own length, frees its blocks, and leaves a fork alone', () => {
    const cache = new BlockCache(pool, SHAPE.headDim);
    appendEach(cache, [3, 9, 1]);
    const fork = cache.fork();
    expect(pool.used).toBe(1 + 3 + 1);
    cache.truncateEach([2, 4, 1]);
    expect([cache.lengths, cache.length]).toEqual([[2, 4, 1], 4]);
    appendEach(cache, [1, 1, 5]);
    expect(contents(cache)).toEqual([
      [1, 2, 14],
      [4, 5, 6, 7, 15],
      [13, 16, 17, 18, 19, 20],
    ]);
    expect(contents(fork)).toEqual([range(1, 4), range(4, 13), [13]]);
    fork.dispose();
    expect(pool.used).toBe(1 + 2 + 2);
  });

  it.each([[[1]], [[1, 2, 3]], [[0, 1]], [[4, 1]], [[2, 1.5]], [[Number.NaN, 1]]])(
    'refuses %j and keeps what it holds',
    (lengths) => {
      const cache = new BlockCache(pool, SHAPE.headDim);
      appendEach(cache, [3, 2]);
      const why = `truncateEach: expected up to 3, 2, found ${lengths.join(', ')}`;
      expect(() => cache.truncateEach(lengths)).toThrow(new RangeError(why));
      expect(cache.lengths).toEqual([3, 2]);
    },
  );
});

describe('fork', () => {
  it.each([1, 4, 6, 8])('of %i positions copies nothing until one of the two writes', (length) => {
    const origin = cacheOf(length);
    const fork = origin.fork();
    expect([contents(fork), pool.used]).toEqual([contents(origin), blocksOf(length)]);
    const own = length % P === 0 ? 0 : 1; // a block that is full is shared for good
    append(origin, 1);
    expect(pool.used).toBe(blocksOf(length) + 1);
    append(fork, 1);
    expect(pool.used).toBe(blocksOf(length) + (own === 1 ? 1 : 2));
    append(origin, 1);
    const past = range(1, length + 1);
    expect(contents(origin)).toEqual([[...past, length + 1, length + 3]]);
    expect(contents(fork)).toEqual([[...past, length + 2]]);
  });

  it('lives on when the origin is truncated, written to or disposed', () => {
    const origin = cacheOf(10);
    const fork = origin.fork();
    origin.truncate(2);
    append(origin, 12);
    expect(contents(fork)).toEqual([range(1, 11)]);
    origin.dispose();
    expect([contents(fork), pool.used]).toEqual([[range(1, 11)], 3]);
    fork.dispose();
    expect(pool.used).toBe(0);
  });

  it('of a fork, and of many sequences, is a cache like any other', () => {
    const origin = new BlockCache(pool, SHAPE.headDim);
    append(origin, 3, 2);
    const second = origin.fork().fork();
    append(second, 2);
    expect(contents(origin)).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(contents(second)).toEqual([
      [1, 2, 3, 7, 8],
      [4, 5, 6, 9, 10],
    ]);
  });
});

describe('gather', () => {
  it('takes the named sequences in order, one of them twice, and copies nothing', () => {
    const several = new BlockCache(pool, SHAPE.headDim);
    append(several, 5, 3);
    const single = cacheOf(2);
    const before = pool.used;
    const sources = [
      { cache: single, places: [0] },
      { cache: several, places: [2, 0, 2] },
    ];
    const gathered = BlockCache.gather(sources, pool, SHAPE.headDim);
    expect([gathered.lengths, gathered.length, pool.used]).toEqual([[2, 5, 5, 5], 5, before]);
    expect(contents(gathered)).toEqual([[16, 17], range(11, 16), range(1, 6), range(11, 16)]);
    append(gathered, 2);
    expect(contents(gathered)).toEqual([
      [16, 17, 18, 19],
      [...range(11, 16), 20, 21],
      [...range(1, 6), 22, 23],
      [...range(11, 16), 24, 25],
    ]);
    expect(contents(several)).toEqual([range(1, 6), range(6, 11), range(11, 16)]);
    for (const cache of [several, single, gathered]) {
      cache.dispose();
    }
    expect(pool.used).toBe(0);
  });

  it('expects as many positions more as the source that expects the most', () => {
    const [long, short] = [cacheOf(9), cacheOf(4)];
    long.expected = 12;
    short.expected = 30;
    const gathered = BlockCache.gather(
      [long, short].map((cache) => ({ cache, places: [0] })),
      pool,
      8,
    );
    expect(gathered.expected).toBe(9 + 26);
  });

  it('refuses the cache of another engine, and then holds nothing', () => {
    const why = 'the cache belongs to another engine';
    const other = new BlockPool(SHAPE, new LinearMemory(65_536));
    for (const foreign of [new BlockCache(other, SHAPE.headDim), new MockCache()]) {
      expect(() => BlockCache.from(foreign, pool)).toThrow(why);
      const own = cacheOf(3);
      const sources = [own, foreign].map((cache) => ({ cache, places: [0] }));
      expect(() => BlockCache.gather(sources, pool, SHAPE.headDim)).toThrow(why);
      own.dispose();
      expect(pool.used).toBe(0);
    }
  });
});

describe.each([SHAPE.headDim, ODD])('export and import, headDim %i of 8', (headDim) => {
  /** What these positions have as plain arrays. */
  function rowsOf(written: readonly number[]): KvRows {
    const layers = range(0, SHAPE.nLayer).map((layer) => {
      const [k, v] = [0, 1].map((kind) =>
        Float32Array.from(
          range(0, SHAPE.nKvHead).flatMap((head) =>
            written.flatMap((mark) => range(0, headDim).map((d) => numberOf(mark, layer, kind, head, d))),
          ),
        ),
      ) as [Float32Array, Float32Array];
      return { k, v };
    });
    return { length: written.length, nKvHead: SHAPE.nKvHead, headDim, layers };
  }
  const filled = (length: number) => {
    const cache = new BlockCache(pool, headDim);
    append(cache, length);
    return cache;
  };

  it('exports any positions, over the borders of blocks', () => {
    const cache = filled(14);
    append(cache, 3); // not in one go
    for (const from of [0, 1, 4, 7, 8, 14, 16, 17]) {
      for (let to = from; to <= 17; to++) {
        expect(cache.export(from, to)).toEqual(rowsOf(range(from + 1, to + 1)));
      }
    }
  });

  it.each([1, 4, 6, 8, 13])('imports %i positions as they were exported, and goes on', (length) => {
    const rows = rowsOf(range(1, length + 1));
    marks = 100;
    const cache = new BlockCache(pool, headDim);
    cache.import(rows);
    expect([cache.lengths, pool.used]).toEqual([[length], blocksOf(length)]);
    expect(cache.export(0, length)).toEqual(rows);
    append(cache, 2);
    expect(cache.export(0, length + 2)).toEqual(rowsOf([...range(1, length + 1), 101, 102]));
    cache.dispose();
    expect(pool.used).toBe(0);
  });

  it('what is exported is a copy', () => {
    const cache = filled(6);
    const rows = cache.export(0, 6);
    cache.truncate(2);
    append(cache, 4);
    expect(rows).toEqual(rowsOf(range(1, 7)));
  });

  it.each([
    [-1, 3],
    [3, 2],
    [0, 7],
    [Number.NaN, 3],
  ])('refuses to export from %d to %d of 6', (from, to) => {
    const error = new RangeError(`export: expected 0 ≤ from ≤ to ≤ 6, found ${from} and ${to}`);
    expect(() => filled(6).export(from, to)).toThrow(error);
  });
});

describe('blocks that were used before', () => {
  it('leave nothing where an imported head is filled up: int8 takes the scale of a vector from all its numbers', () => {
    const cache = cacheOf(4);
    cache.dispose();
    const next = new BlockCache(pool, ODD);
    const kv = () => new Float32Array(SHAPE.nKvHead * ODD).fill(1);
    next.import({ length: 1, nKvHead: 3, headDim: ODD, layers: [1, 2].map(() => ({ k: kv(), v: kv() })) });
    const behind: number[] = [];
    visit(next, 0, 0, (numbers, place) => {
      if (place % SHAPE.headDim >= ODD) {
        behind.push(numbers[place] as number);
      }
    });
    expect(new Set(behind)).toEqual(new Set([0]));
  });

  it('are taken again before the memory grows', () => {
    const cache = cacheOf(12);
    const { end } = pool.memory;
    cache.dispose();
    cacheOf(12);
    expect(pool.memory.end).toBe(end);
  });
});

describe('dispose', () => {
  it('frees everything, may be called twice, and the cache may be used again', () => {
    const cache = cacheOf(9);
    cache.dispose();
    cache.dispose();
    expect([cache.lengths, cache.length, cache.byteSize, pool.used]).toEqual([[], 0, 0, 0]);
    append(cache, 2);
    expect(contents(cache)).toEqual([[10, 11]]);
  });

  it('twice does not free what a fork holds', () => {
    const cache = cacheOf(9);
    const fork = cache.fork();
    cache.dispose();
    cache.dispose();
    cacheOf(9); // would take the blocks
    expect(contents(fork)).toEqual([range(1, 10)]);
  });
});

describe('a full memory', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  /** From now on only so many blocks are to be had. */
  const leave = (blocks: number) => {
    let left = blocks;
    const { memory } = pool;
    const reserve = memory.reserve.bind(memory);
    vi.spyOn(memory, 'reserve').mockImplementation((bytes) => reserve(left-- > 0 ? bytes : 2 ** 32));
  };

  it('ends at 4 GB, in one line that says what helps', async () => {
    const memory = new LinearMemory(65_536);
    await expectFailure(
      () => memory.reserve(2 ** 32),
      "the simd engine's memory is full (0.0 of at most 4.3 GB): run fewer or shorter sequences at a time",
    );
    expect(memory.reserve(16)).toBe(65_536); // it is as usable as before
  });

  it.each([0, 1, 2, 3, 4])('after %i blocks leaves the sequences as they were', (blocks) => {
    const cache = new BlockCache(pool, SHAPE.headDim);
    append(cache, 3, 2);
    const fork = cache.fork();
    leave(blocks);
    expect(() => cache.makeRoom([8, 8])).toThrow(KvgenError);
    for (const one of [cache, fork]) {
      expect([one.lengths, contents(one)]).toEqual([
        [3, 3],
        [range(1, 4), range(4, 7)],
      ]);
    }
    vi.restoreAllMocks();
    append(cache, 8);
    expect(contents(cache)).toEqual([
      [...range(1, 4), ...range(7, 15)],
      [...range(4, 7), ...range(15, 23)],
    ]);
    expect(contents(fork)).toEqual([range(1, 4), range(4, 7)]);
    expect(pool.used).toBe(6 + 2);
    cache.dispose();
    fork.dispose();
    expect(pool.used).toBe(0);
  });

  it('leaves an empty cache empty, so that fewer sequences may be tried', () => {
    const cache = new BlockCache(pool, SHAPE.headDim);
    leave(2);
    expect(() => cache.makeRoom([2, 2, 2])).toThrow(KvgenError);
    expect(cache.lengths).toEqual([]);
    vi.restoreAllMocks();
    append(cache, 2, 1);
    expect(contents(cache)).toEqual([[1, 2]]);
  });
});

/** A cache as plain arrays. A block is an object: who has the same one shares it. */
interface Twin {
  readonly cache: BlockCache;
  sequences: { marks: number[]; blocks: object[] }[];
}

describe('a random walk', () => {
  const step = fc.tuple(
    fc.constantFrom('new', 'append', 'append', 'truncate', 'fork', 'gather', 'dispose', 'copy'),
    fc.nat(1000),
    fc.nat(1000),
    fc.nat(1000),
  );

  it('ends each step with the contents and the number of blocks of the plain arrays', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), (steps) => {
        pool = new BlockPool(SHAPE, new LinearMemory(65_536));
        let twins: Twin[] = [{ cache: new BlockCache(pool, SHAPE.headDim), sequences: [] }];
        for (const [name, a, b, c] of steps) {
          twins = walk(twins, name, a, b, c);
          expect(twins.map(({ cache }) => contents(cache))).toEqual(twins.map(plain));
          expect(twins.map(({ cache }) => cache.lengths)).toEqual(
            twins.map(({ sequences }) => sequences.map(({ marks }) => marks.length)),
          );
          expect(pool.used).toBe(allBlocks(twins).size);
        }
        for (const { cache } of twins) {
          cache.dispose();
        }
        expect(pool.used).toBe(0);
      }),
      { numRuns: 150, seed: 1 },
    );
  });

  const plain = ({ sequences }: Twin) => sequences.map(({ marks }) => marks);
  const allBlocks = (twins: readonly Twin[]) =>
    new Set(twins.flatMap(({ sequences }) => sequences.flatMap(({ blocks }) => blocks)));

  function walk(twins: readonly Twin[], name: string, a: number, b: number, c: number): Twin[] {
    const one = twins[a % twins.length] as Twin;
    const other = twins[b % twins.length] as Twin;
    const copied = ({ sequences }: Twin) =>
      sequences.map(({ marks, blocks }) => ({ marks: [...marks], blocks: [...blocks] }));
    switch (name) {
      case 'new':
        return [...twins, { cache: new BlockCache(pool, SHAPE.headDim), sequences: [] }];
      case 'append':
        appendTo(one, 1 + (b % 6), twins, 1 + (c % 3));
        return [...twins];
      case 'truncate':
        truncateTo(one, b % (one.cache.length + 1));
        return [...twins];
      case 'fork':
        return [...twins, { cache: one.cache.fork(), sequences: copied(one) }];
      case 'gather': {
        const named = [one, other].map((twin, i) => ({
          twin,
          places: range(0, Math.min(3, twin.sequences.length)).map((n) => (c + n * (i + 1)) % twin.sequences.length),
        }));
        const sources = named.map(({ twin: { cache }, places }) => ({ cache, places }));
        const sequences = named.flatMap(({ twin, places }) => places.map((place) => copied(twin)[place]));
        const cache = BlockCache.gather(sources, pool, SHAPE.headDim);
        return [...twins, { cache, sequences: sequences as Twin['sequences'] }];
      }
      case 'copy': {
        const marks = [...(one.sequences[0]?.marks ?? [])];
        const from = Math.min(b % 5, marks.length);
        const cache = new BlockCache(pool, SHAPE.headDim);
        const kept = marks.slice(from);
        if (kept.length > 0 && one.cache.length === marks.length) {
          cache.import(one.cache.export(from, marks.length));
          return [...twins, { cache, sequences: [{ marks: kept, blocks: fresh(kept.length) }] }];
        }
        return [...twins];
      }
      default:
        one.cache.dispose();
        one.sequences = [];
        return twins.length > 1 ? twins.filter((twin) => twin !== one) : [...twins];
    }
  }

  const fresh = (length: number) => Array.from({ length: blocksOf(length) }, () => ({}));

  function appendTo(twin: Twin, T: number, twins: readonly Twin[], count: number): void {
    if (twin.sequences.length === 0) {
      twin.sequences = Array.from({ length: count }, () => ({ marks: [], blocks: [] }));
    }
    const written = append(twin.cache, T, twin.sequences.length);
    for (const [b, { marks, blocks }] of twin.sequences.entries()) {
      const last = marks.length % P === 0 ? -1 : Math.floor(marks.length / P);
      const holders = twins.flatMap(({ sequences }) =>
        sequences.filter((s) => s.blocks.includes(blocks[last] as object)),
      );
      if (last >= 0 && holders.length > 1) {
        blocks[last] = {};
      }
      marks.push(...(written[b] as number[]));
      blocks.push(...fresh(marks.length).slice(blocks.length));
    }
  }

  function truncateTo(twin: Twin, length: number): void {
    const removed = twin.cache.length - length;
    twin.cache.truncate(length);
    for (const { marks, blocks } of twin.sequences) {
      marks.splice(Math.max(0, marks.length - removed));
      blocks.splice(blocksOf(marks.length));
    }
    twin.sequences = length === 0 ? [] : twin.sequences;
  }
});

describe('blocks', () => {
  it('have room for keys and values of every head and layer, and no two overlap', () => {
    const shape: BlockShape = { positions: 8, nLayer: 3, nKvHead: 2, headDim: 12 };
    const head = 4 * 8 * 12;
    const places = range(0, 6).flatMap((i) => Object.values(offsets(shape, Math.floor(i / 2), i % 2)));
    expect([...places].sort((a, b) => a - b)).toEqual(range(0, 12).map((i) => i * head));
    expect(blockBytes(shape)).toBe(12 * head);
  });
});
