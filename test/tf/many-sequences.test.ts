// Forward passes of several sequences, on values: each has the logits that it has alone, however long it runs.

import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import type { Model } from '../../src/library/model.js';
import type { Rows } from '../../src/tf/inputs.js';
import { KvCache } from '../../src/tf/tensor-cache.js';
import { countReplays } from '../support/binding.js';
import { expectParity } from '../support/golden.js';
import { randomize, TINY, writeModel } from '../support/model-folder.js';
import { open, useBackend } from '../support/open.js';
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
function alone(): KvCache[] {
  return PROMPTS.map((ids) => {
    const cache = eager.engine.newCache();
    eager.engine.forward(ids, cache);
    return cache;
  });
}

function together(caches: readonly KvCache[]): KvCache {
  return KvCache.gather(caches.map((cache) => ({ cache, rows: [0] })));
}

function disposeAll(caches: readonly KvCache[]): void {
  for (const cache of caches) {
    cache.dispose();
  }
}

/** Runs a step of all together and of each alone, which gives the same logits. */
function expectStep(engine: Engine, batch: KvCache, caches: readonly KvCache[], step: number): void {
  const ids = nextIds(step);
  const logits = engine.forwardRows({ ids: ids.map((id) => [id]), wanted: ids.map((_, b) => b) }, batch);
  const expected = ids.flatMap((id, b) => [...eager.engine.forward([id], caches[b] as KvCache)]);
  expectParity(logits, expected);
}

describe.each(['eager', 'graph'] as const)('sequences of unequal length, engine %s', (name) => {
  let model: Model;
  beforeAll(async () => {
    model = await open(dir, { engine: name, onNote: (line) => expect.unreachable(line) });
    model.engine.prepare?.('batch', 1);
    expect(model.engine.name).toBe(name);
  });
  afterAll(() => model.dispose());

  it('have the logits that each has alone, also when their newest rows have joined the older ones', () => {
    const caches = alone();
    const batch = together(caches);
    const lengths = PROMPTS.map(({ length }) => length);
    expect([batch.length, batch.lengths, batch.padding]).toEqual([40, lengths, [37, 0, 31]]);
    for (let step = 0; step < 200; step++) {
      expectStep(model.engine, batch, caches, step);
    }
    expect([batch.length, batch.padding]).toEqual([240, [37, 0, 31]]);
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
    const [a, , c] = caches as [KvCache, KvCache, KvCache];
    const again = KvCache.gather([{ cache: batch, rows: [2, 0, 2] }]);
    expect([again.length, again.padding]).toEqual([10, [0, 6, 0]]); // no longer than the longest that is left
    const others = [c, a, c.fork()];
    for (let step = 1; step < 4; step++) {
      expectStep(model.engine, again, others, step);
    }
    disposeAll([batch, again, ...caches, ...others]);
  });

  it.each([0, 1, 2])('have them when number %i is left alone, which then has no padding', (b) => {
    const caches = alone();
    const batch = together(caches);
    expectStep(model.engine, batch, caches, 0);
    const left = KvCache.gather([{ cache: batch, rows: [b] }]);
    expect([left.length, left.padding]).toEqual([caches[b]?.length, [0]]);
    for (const id of [4, 2]) {
      const logits = model.engine.forwardRows({ ids: [[id]], wanted: [0] }, left);
      expectParity(logits, eager.engine.forward([id], caches[b] as KvCache));
    }
    disposeAll([batch, left, ...caches]);
  });
});

describe('the recording of steps', () => {
  let graph: Model;
  let batch: KvCache;
  let single: KvCache;
  beforeAll(async () => {
    graph = await open(dir, { engine: 'graph', onNote: (line) => expect.unreachable(line) });
    graph.engine.prepare?.('batch', 1);
    const caches = alone();
    batch = together(caches);
    single = caches[0] as KvCache;
    disposeAll(caches.slice(1));
  });
  afterAll(() => {
    disposeAll([batch, single]);
    graph.dispose();
  });

  const passes: [what: string, replays: number, rows: Rows, cache: () => KvCache | null][] = [
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
  it.each(passes)('%s: %i replayed', (_, replays, rows, cache) => {
    const [ours, theirs] = [cache()?.fork() ?? null, cache()?.fork() ?? null];
    const count = countReplays(() => {
      expectParity(graph.engine.forwardRows(rows, ours), eager.engine.forwardRows(rows, theirs));
    });
    expect(count).toBe(replays);
    ours?.dispose();
    theirs?.dispose();
  });
});
