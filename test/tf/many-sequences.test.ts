// Forward passes of several sequences, on values: each has the logits that it has alone, however long it runs.

import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine, Pass } from '../../src/engine/engine.js';
import type { Model } from '../../src/library/model.js';
import { TensorCache } from '../../src/tf/tensor-cache.js';
import { countReplays } from '../support/binding.js';
import { expectParity } from '../support/golden.js';
import { randomize, TINY, writeModel } from '../support/model-folder.js';
import { open, useBackend } from '../support/open.js';
import { forward } from '../support/run.js';
import { tempDirs } from '../support/temp-dir.js';

const LONG = { ...TINY, n_positions: 300 };
const PROMPTS = [
  [3, 14, 1],
  Array.from({ length: 40 }, (_, i) => (i * i + 3 * i) % 31),
  [7, 7, 2, 9, 9, 30, 4, 8, 11],
] as const;
/** The id that each is given next, as different as their prompts. */
const nextIds = (step: number) => PROMPTS.map((_, b) => (step * step + 5 * b + step) % 31);

const tempDir = tempDirs();
let dir: string;
let eager: Model;
let empty: number;

beforeAll(async () => {
  await useBackend('node');
  dir = writeModel(tempDir(), { config: LONG, tensors: randomize(LONG) });
  empty = tf.memory().numTensors;
  eager = await open(dir);
});
afterAll(() => {
  eager.dispose();
  expect(tf.memory().numTensors).toBe(empty);
});

/** A cache for each prompt, prefilled. */
function alone(): TensorCache[] {
  return PROMPTS.map((ids) => {
    const cache = TensorCache.from(eager.engine.newCache());
    forward(eager.engine, ids, cache);
    return cache;
  });
}

function together(caches: readonly TensorCache[]): TensorCache {
  return TensorCache.from(eager.engine.gather(caches.map((cache) => ({ cache, places: [0] }))));
}

/** Runs a step of several, which makes an engine record it that expects many. */
function stepOnce({ engine }: Model): void {
  const caches = alone();
  const batch = together(caches);
  batch.expected = Number.POSITIVE_INFINITY;
  engine.forward({ ids: [[1], [2], [3]], wanted: [0, 1, 2] }, batch);
  disposeAll([batch, ...caches]);
}

function disposeAll(caches: readonly TensorCache[]): void {
  for (const cache of caches) {
    cache.dispose();
  }
}

/** As many lists of logits, and the same numbers. */
function expectAllParity(found: readonly Float32Array[], expected: readonly Float32Array[]): void {
  expect(found.map(({ length }) => length)).toEqual(expected.map(({ length }) => length));
  expectParity(
    found.flatMap((logits) => [...logits]),
    expected.flatMap((logits) => [...logits]),
  );
}

/** Runs a step of all together and of each alone, which gives the same logits. */
function expectStep(engine: Engine, batch: TensorCache, caches: readonly TensorCache[], step: number): void {
  const ids = nextIds(step);
  const logits = engine.forward({ ids: ids.map((id) => [id]), wanted: ids.map((_, b) => b) }, batch);
  const expected = ids.map((id, b) => forward(eager.engine, [id], caches[b] as TensorCache));
  expectAllParity(logits, expected);
}

describe.each(['eager', 'graph'] as const)('sequences of unequal length, engine %s', (name) => {
  let model: Model;
  beforeAll(async () => {
    model = await open(dir, { engine: name, onNote: (line) => expect.unreachable(line) });
    stepOnce(model);
    expect(model.engine.name).toBe(name);
  });
  afterAll(() => model.dispose());

  it('have the logits that each has alone, also when their newest positions have joined the older ones', () => {
    const caches = alone();
    const batch = together(caches);
    const lengths = PROMPTS.map(({ length }) => length);
    expect([batch.length, batch.lengths, batch.padding]).toEqual([40, lengths, [37, 0, 31]]);
    for (let step = 0; step < 140; step++) {
      expectStep(model.engine, batch, caches, step);
    }
    expect([batch.length, batch.padding]).toEqual([180, [37, 0, 31]]);
    expect(batch.lengths).toEqual(caches.map(({ length }) => length));
    disposeAll([batch, ...caches]);
  });

  it('have them on a fork, which outlives its origin', () => {
    const caches = alone();
    const batch = together(caches);
    expectStep(model.engine, batch, caches, 0);
    const fork = batch.fork();
    expect([fork.lengths, fork.padding]).toEqual([batch.lengths, batch.padding]);
    batch.dispose();
    for (let step = 1; step < 4; step++) {
      expectStep(model.engine, fork, caches, step);
    }
    disposeAll([fork, ...caches]);
  });

  it('have them when they are gathered again, in another order and with one of them twice', () => {
    const caches = alone();
    const batch = together(caches);
    expectStep(model.engine, batch, caches, 0);
    const [a, , c] = caches as [TensorCache, TensorCache, TensorCache];
    const again = TensorCache.from(model.engine.gather([{ cache: batch, places: [2, 0, 2] }]));
    expect([again.length, again.padding]).toEqual([10, [0, 6, 0]]); // no longer than the longest that is left
    const others = [c, a, c.fork()];
    for (let step = 1; step < 4; step++) {
      expectStep(model.engine, again, others, step);
    }
    disposeAll([batch, again, ...caches, ...others]);
  });

  it.each([
    [
      [2, 33, 9],
      [31, 0, 24],
    ],
    [
      [3, 1, 2],
      [0, 2, 1],
    ],
    [
      [4, 41, 10],
      [37, 0, 31],
    ],
    [
      [3, 40, 9],
      [37, 0, 31],
    ],
  ])('have them when they were cut to lengths of their own, %j', (lengths, padding) => {
    const caches = alone();
    const batch = together(caches);
    expectStep(model.engine, batch, caches, 0);
    const count = tf.memory().numTensors;
    batch.truncateEach(lengths);
    expect([batch.lengths, batch.padding, tf.memory().numTensors]).toEqual([lengths, padding, count]);
    for (const [b, cache] of caches.entries()) {
      cache.truncate(lengths[b] as number);
    }
    for (let step = 1; step < 4; step++) {
      expectStep(model.engine, batch, caches, step);
    }
    expect(() => batch.truncateEach([1, 1])).toThrow(RangeError);
    disposeAll([batch, ...caches]);
  });

  it.each([0, 1, 2])('have them when number %i is left alone, which then has no padding', (b) => {
    const caches = alone();
    const batch = together(caches);
    expectStep(model.engine, batch, caches, 0);
    const left = TensorCache.from(model.engine.gather([{ cache: batch, places: [b] }]));
    expect([left.length, left.padding]).toEqual([caches[b]?.length, [0]]);
    for (const id of [4, 2]) {
      const logits = model.engine.forward({ ids: [[id]], wanted: [0] }, left);
      expectAllParity(logits, [forward(eager.engine, [id], caches[b] as TensorCache)]);
    }
    disposeAll([batch, left, ...caches]);
  });
});

describe('the recording of steps', () => {
  let graph: Model;
  let batch: TensorCache;
  let single: TensorCache;
  beforeAll(async () => {
    // auto: always would record the passes of one sequence as well
    graph = await open(dir, { engine: 'auto', onNote: (line) => expect.unreachable(line) });
    stepOnce(graph);
    expect(graph.engine.name).toBe('graph');
    const caches = alone();
    batch = together(caches);
    single = caches[0] as TensorCache;
    disposeAll(caches.slice(1));
  });
  afterAll(() => {
    disposeAll([batch, single]);
    graph.dispose();
  });

  const passes: [what: string, replays: number, pass: Pass, cache: () => TensorCache | null][] = [
    ['one id of each of several', 1, { ids: [[1], [2], [3]], wanted: [0, 1, 2] }, () => batch],
    ['one id of the only one', 1, { ids: [[1]], wanted: [0] }, () => single],
    [
      'several ids of each',
      0,
      {
        ids: [
          [1, 2],
          [2, 3],
          [3, 4],
        ],
        wanted: [1, 3, 5],
      },
      () => batch,
    ],
    ['several ids of one', 0, { ids: [[1, 2]], wanted: [1] }, () => single],
    ['no cache', 0, { ids: [[1], [2]], wanted: [0, 1] }, () => null],
  ];
  it.each(passes)('%s: %i replayed', (_, replays, pass, cache) => {
    const [ours, theirs] = [cache()?.fork() ?? null, cache()?.fork() ?? null];
    const count = countReplays(() => {
      expectAllParity(graph.engine.forward(pass, ours), eager.engine.forward(pass, theirs));
    });
    expect(count).toBe(replays);
    ours?.dispose();
    theirs?.dispose();
  });
});
