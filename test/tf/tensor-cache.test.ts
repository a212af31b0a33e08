import * as tf from '@tensorflow/tfjs-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Model } from '../../src/library/model.js';
import { TensorCache } from '../../src/tf/tensor-cache.js';
import { distance, expectParity } from '../support/golden.js';
import { MockCache } from '../support/mock-engine.js';
import { randomize, TINY, writeModel } from '../support/model-folder.js';
import { open, useBackend } from '../support/open.js';
import { forward } from '../support/run.js';
import { tempDirs } from '../support/temp-dir.js';

const IDS = [3, 14, 1, 5, 9, 2, 6, 5, 3, 5];
const BYTES_PER_POSITION = 2 * TINY.n_layer * TINY.n_embd * 4;
/** Long enough for whatever the cache does only now and then. */
const LONG = { ...TINY, n_positions: 300 };
const MANY = Array.from({ length: 300 }, (_, i) => (i * i + 3 * i) % 31);

const tempDir = tempDirs();
let model: Model;
let before: number;
let caches: TensorCache[] = [];

beforeAll(async () => {
  await useBackend('node');
  model = await open(writeModel(tempDir(), { config: LONG, tensors: randomize(LONG) }));
});
afterAll(() => model.dispose());
beforeEach(() => {
  before = tf.memory().numTensors;
});
afterEach(() => {
  for (const cache of caches) {
    cache.dispose();
  }
  caches = [];
  expect(tf.memory().numTensors).toBe(before);
});

function cacheOf(ids: readonly number[]): TensorCache {
  const cache = TensorCache.from(model.engine.newCache());
  caches.push(cache);
  if (ids.length > 0) {
    forward(model.engine, ids, cache);
  }
  return cache;
}

function forkOf(cache: TensorCache): TensorCache {
  const fork = cache.fork();
  caches.push(fork);
  return fork;
}

const fresh = (ids: readonly number[]) => forward(model.engine, ids, null);

/** Cut to `length` of the ids that it holds, the cache goes on as a fresh run does. */
function expectTruncationGoesOn(cache: TensorCache, ids: readonly number[], length: number): void {
  cache.truncate(length);
  expect([cache.length, cache.byteSize]).toEqual([length, length * BYTES_PER_POSITION]);
  const next = [20, 21, 22];
  expectParity(forward(model.engine, next, cache), fresh([...ids.slice(0, length), ...next]));
  expectParity(forward(model.engine, [23], cache), fresh([...ids.slice(0, length), ...next, 23]));
  expect(cache.length).toBe(length + 4);
}

/** The segments of each layer. */
const pastOf = (cache: TensorCache) => (cache.layers ?? []).map((past) => [past].flat());

/** Keys and values that the cache holds, layer by layer, [B, nKvHead, length, headDim] as nested arrays. */
function contents(cache: TensorCache): unknown[] {
  const join = (segments: readonly tf.Tensor4D[]) =>
    tf.tidy(() =>
      tf
        .concat(
          [...segments].filter(({ size }) => size > 0),
          2,
        )
        .arraySync(),
    );
  return pastOf(cache).map((past) => [join(past.map(({ k }) => k)), join(past.map(({ v }) => v))]);
}

const tensorsOf = (cache: TensorCache) => pastOf(cache).flatMap((past) => past.flatMap(({ k, v }) => [k, v]));

describe('length and byteSize', () => {
  it('of an empty cache are 0', () => {
    const cache = cacheOf([]);
    expect([cache.length, cache.byteSize, cache.layers]).toEqual([0, 0, null]);
  });

  it('count positions, whether they came at once or one by one', () => {
    const cache = cacheOf(IDS.slice(0, 4));
    expect([cache.length, cache.byteSize]).toEqual([4, 4 * BYTES_PER_POSITION]);
    forward(model.engine, IDS.slice(4, 5), cache);
    expect([cache.length, cache.byteSize]).toEqual([5, 5 * BYTES_PER_POSITION]);
    forward(model.engine, IDS.slice(5), cache);
    expect([cache.length, cache.byteSize]).toEqual([10, 10 * BYTES_PER_POSITION]);
  });

  it('holds keys and values of each layer, [B, nKvHead, length, headDim]', () => {
    const shapes = contents(cacheOf(IDS)).map((pair) => (pair as number[][][][][]).map(shapeOf));
    expect(shapes).toEqual(new Array(2).fill(new Array(2).fill([1, 2, 10, 4])));
  });
});

function shapeOf(nested: unknown): number[] {
  return Array.isArray(nested) ? [nested.length, ...shapeOf(nested[0])] : [];
}

/** [1, 2, 3, 4] of one value. */
const filled = (value: number) => [new Array(2).fill(new Array(3).fill(new Array(4).fill(value)))];

describe('append', () => {
  it('gives the logits of one pass, at every position', () => {
    const cache = cacheOf([]);
    for (const [i, id] of IDS.entries()) {
      expectParity(forward(model.engine, [id], cache), fresh(IDS.slice(0, i + 1)));
    }
  });

  it('gives them in pieces of any size', () => {
    const cache = cacheOf(IDS.slice(0, 3));
    expectParity(forward(model.engine, IDS.slice(3, 4), cache), fresh(IDS.slice(0, 4)));
    expectParity(forward(model.engine, IDS.slice(4, 9), cache), fresh(IDS.slice(0, 9)));
    expectParity(forward(model.engine, IDS.slice(9), cache), fresh(IDS));
  });

  it('leaves what it holds of past tokens as it was', () => {
    const cache = cacheOf(IDS.slice(0, 4));
    const first = contents(cache);
    forward(model.engine, [7], cache);
    expect(contents(cache)).not.toEqual(first);
    cache.truncate(4);
    expect(contents(cache)).toEqual(first);
  });

  it('disposes what it replaces', () => {
    const cache = cacheOf(IDS);
    const old = tensorsOf(cache);
    const count = tf.memory().numTensors;
    forward(model.engine, [1], cache);
    const replaced = old.filter((tensor) => !tensorsOf(cache).includes(tensor));
    expect(replaced.length).toBeGreaterThanOrEqual(2 * TINY.n_layer);
    expect(replaced.every((tensor) => tensor.isDisposed)).toBe(true);
    expect(tf.memory().numTensors).toBe(count);
  });

  it('takes over tensors made inside a tidy', () => {
    const cache = cacheOf([]);
    tf.tidy(() => cache.append([{ k: tf.zeros([1, 2, 3, 4]), v: tf.ones([1, 2, 3, 4]) }]));
    expect([cache.length, contents(cache)]).toEqual([3, [[filled(0), filled(1)]]]);
  });
});

describe('over many tokens', () => {
  it('one by one, the logits stay those of one pass and the number of tensors the same', () => {
    const cache = cacheOf(MANY.slice(0, 1));
    const count = tf.memory().numTensors;
    for (let i = 1; i < MANY.length; i++) {
      const logits = forward(model.engine, MANY.slice(i, i + 1), cache);
      expect([cache.length, cache.byteSize]).toEqual([i + 1, (i + 1) * BYTES_PER_POSITION]);
      expect(tf.memory().numTensors).toBe(count);
      if (i % 32 === 0 || i % 128 < 3 || i > 297) {
        expectParity(logits, fresh(MANY.slice(0, i + 1)));
      }
    }
  });

  it.each([1, 100, 126, 127, 128, 129, 200, 255, 256, 257, 289])(
    'cut to %i and going on equals a fresh run',
    (length) => {
      const cache = cacheOf([]);
      for (const part of [MANY.slice(0, 100), MANY.slice(100, 180), MANY.slice(180, 290)]) {
        forward(model.engine, part, cache);
      }
      expectTruncationGoesOn(cache, MANY, length);
    },
  );

  it('a fork shares the past and goes its own way', () => {
    const origin = cacheOf(MANY.slice(0, 150));
    forward(model.engine, MANY.slice(150, 260), origin);
    forward(model.engine, MANY.slice(260, 270), origin);
    const fork = forkOf(origin);
    for (const id of [1, 2, 3]) {
      forward(model.engine, [id], fork);
    }
    for (const id of [4, 5]) {
      forward(model.engine, [id], origin);
    }
    const past = MANY.slice(0, 270);
    expectParity(forward(model.engine, [9], origin), fresh([...past, 4, 5, 9]));
    origin.dispose();
    expectParity(forward(model.engine, [9], fork), fresh([...past, 1, 2, 3, 9]));
  });
});

describe('positions', () => {
  it('come from the length of the cache: the same id elsewhere has other logits', () => {
    const repeated = [4, 4, 4, 4];
    const cache = cacheOf([]);
    const logits = repeated.map((id) => forward(model.engine, [id], cache));
    expect(logits.map((one, i) => distance(one, fresh(repeated.slice(0, i + 1))) <= 1e-4)).toEqual(
      new Array(4).fill(true),
    );
    // were positions to restart at 0, the second 4 would have the keys, values and query of the first: equal logits
    expect(distance(logits[1] as Float32Array, logits[0] as Float32Array)).toBeGreaterThan(0.05);
  });

  it('follow a truncation and a fork', () => {
    const cache = cacheOf(IDS);
    cache.truncate(2);
    const fork = forkOf(cache);
    const ids = [...IDS.slice(0, 2), 8];
    expectParity(forward(model.engine, [8], cache), fresh(ids));
    expectParity(forward(model.engine, [8], fork), fresh(ids));
  });

  it('go up to the last one of the model', () => {
    const cache = cacheOf(MANY.slice(0, -1));
    expectParity(forward(model.engine, MANY.slice(-1), cache), fresh(MANY));
  });
});

describe('truncate', () => {
  it.each([1, 5, 9])('to %i and going on equals a fresh run', (length) => {
    expectTruncationGoesOn(cacheOf(IDS), IDS, length);
  });

  it('to 0 leaves an empty cache that works', () => {
    const cache = cacheOf(IDS);
    cache.truncate(0);
    expect([cache.length, cache.byteSize, cache.layers]).toEqual([0, 0, null]);
    expectParity(forward(model.engine, [11, 12], cache), fresh([11, 12]));
  });

  it('within the newest positions does not copy the others', () => {
    const cache = cacheOf(MANY.slice(0, 150));
    forward(model.engine, [1, 2, 3], cache);
    const bodies = pastOf(cache).map(([body]) => body);
    cache.truncate(151);
    expect(pastOf(cache).map(([body]) => body)).toEqual(bodies);
    expect(bodies.every((body) => body?.k.isDisposed === false)).toBe(true);
    expectParity(forward(model.engine, [9], cache), fresh([...MANY.slice(0, 150), 1, 9]));
  });

  it('to the length it has changes nothing', () => {
    const cache = cacheOf(IDS);
    const held = contents(cache);
    cache.truncate(10);
    expect(contents(cache)).toEqual(held);
  });

  it.each([-1, 11, 1.5, Number.NaN, Number.POSITIVE_INFINITY])('refuses %d and keeps what it holds', (length) => {
    const cache = cacheOf(IDS);
    expect(() => cache.truncate(length)).toThrow(new RangeError(`truncate: expected 0 … 10, found ${length}`));
    expect(cache.length).toBe(10);
  });

  it('of an empty cache takes 0 alone', () => {
    const cache = cacheOf([]);
    cache.truncate(0);
    expect(() => cache.truncate(1)).toThrow(RangeError);
  });
});

describe('fork', () => {
  it('goes its own way, as the origin does', () => {
    const origin = cacheOf(IDS);
    const fork = forkOf(origin);
    expect(fork.length).toBe(10);
    expectParity(forward(model.engine, [7], origin), fresh([...IDS, 7]));
    expectParity(forward(model.engine, [8], fork), fresh([...IDS, 8]));
    expectParity(forward(model.engine, [9], origin), fresh([...IDS, 7, 9]));
    fork.truncate(3);
    expect([origin.length, fork.length]).toEqual([12, 3]);
  });

  it('lives on when the origin is disposed', () => {
    const origin = cacheOf(IDS);
    const fork = forkOf(origin);
    const held = contents(fork);
    origin.dispose();
    expect(contents(fork)).toEqual(held);
    expectParity(forward(model.engine, [8], fork), fresh([...IDS, 8]));
  });

  it('may be disposed first', () => {
    const origin = cacheOf(IDS);
    forkOf(origin).dispose();
    expectParity(forward(model.engine, [7], origin), fresh([...IDS, 7]));
  });

  it('shares the memory', () => {
    const origin = cacheOf(IDS);
    const { numDataBuffers } = tf.memory(); // numBytes counts shared memory twice
    const fork = forkOf(origin);
    expect(tf.memory().numDataBuffers).toBe(numDataBuffers);
    expect(tensorsOf(fork).map(({ dataId }) => dataId)).toEqual(tensorsOf(origin).map(({ dataId }) => dataId));
  });

  it('of an empty cache is an empty cache', () => {
    const fork = forkOf(cacheOf([]));
    expect(fork.length).toBe(0);
    expectParity(forward(model.engine, [8], fork), fresh([8]));
  });
});

describe('the cache of another engine', () => {
  it('is refused wherever it is handed over', () => {
    const foreign = new MockCache();
    const why = 'the cache belongs to another engine';
    expect(() => forward(model.engine, [1], foreign)).toThrow(why);
    expect(() => model.engine.gather([{ cache: foreign, places: [0] }])).toThrow(why);
  });
});

describe('dispose', () => {
  it('frees everything, may be called twice, and the cache may be used again', () => {
    const cache = cacheOf(IDS);
    cache.dispose();
    cache.dispose();
    expect([cache.length, cache.byteSize, tf.memory().numTensors]).toEqual([0, 0, before]);
    expectParity(forward(model.engine, [8], cache), fresh([8]));
  });
});
