// Scores on values: whatever shares a pass or comes in chunks has the log-probabilities of one plain pass.

import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import { withForward } from '../../src/engine/with-forward.js';
import { scoreContinuations, slidingWindows, windowLoss } from '../../src/generation/score.js';
import { logprobOf } from '../../src/sampling/logprobs.js';
import { bothEngines } from '../support/both-engines.js';
import { TINY } from '../support/model-folder.js';
import { forward } from '../support/run.js';

const LONG = { ...TINY, n_positions: 600 };
const idsOf = (length: number, seed = 3) => Array.from({ length }, (_, i) => (i * i + seed * i + seed) % 31);

const built = bothEngines(LONG);

const engines = [
  ['eager', () => built.eager.engine],
  ['graph', () => built.graph.engine],
] as const;

/** The log-probability of each id but the first, from one pass without a cache that asks for every place. */
function logprobs(ids: readonly number[]): number[] {
  const logits = built.eager.engine.forward({ ids: [ids], wanted: ids.map((_, t) => t) }, null);
  expect(logits.map(({ length }) => length)).toEqual(ids.map(() => LONG.vocab_size));
  return ids.slice(1).map((id, t) => logprobOf(logits[t] as Float32Array, id));
}

const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);

describe.each(engines)('the loss of a window, engine %s', (_, engine) => {
  const ids = idsOf(590); // two full chunks of prefill and a part

  // 333: the first place that counts is the first of the second chunk
  it.each([589, 588, 334, 333, 332, 100, 20, 1])('of which the last %i ids are scored', async (scored) => {
    const before = tf.memory().numTensors;
    expect(await windowLoss(engine(), { ids, scored })).toBeCloseTo(-sum(logprobs(ids).slice(-scored)), 2);
    expect(tf.memory().numTensors).toBe(before);
  });
});

it('the loss of a window whose scoring is aborted is none, and nothing is kept', async () => {
  const before = tf.memory().numTensors;
  const loss = windowLoss(built.eager.engine, { ids: idsOf(300), scored: 9 }, AbortSignal.abort(new Error('enough')));
  await expect(loss).rejects.toThrow('enough');
  expect(tf.memory().numTensors).toBe(before);
});

describe('sliding windows', () => {
  const windows = (length: number, nCtx: number, stride: number) =>
    [...slidingWindows(idsOf(length), nCtx, stride)].map(({ ids, scored }) => [ids.length, scored]);

  it.each([
    [1, 8, 4, []],
    [2, 8, 4, [[2, 1]]],
    [8, 8, 4, [[8, 7]]],
    [
      9,
      8,
      4,
      [
        [8, 7],
        [5, 1],
      ],
    ],
    [
      14,
      8,
      4,
      [
        [8, 7],
        [8, 4],
        [6, 2],
      ],
    ],
    [
      16,
      8,
      8,
      [
        [8, 7],
        [8, 7],
      ],
    ], // the first id of the second has nothing before it
    [
      17,
      8,
      8,
      [
        [8, 7],
        [8, 7],
      ],
    ],
  ])('over %i ids of a context of %i by %i', (length, nCtx, stride, expected) => {
    expect(windows(length, nCtx, stride)).toEqual(expected);
  });

  it('score each id but the first once, with as much before it as there is room for', () => {
    const ids = Array.from({ length: 100 }, (_, i) => i);
    const found = [...slidingWindows(ids, 16, 5)];
    expect(found.flatMap(({ ids, scored }) => ids.slice(-scored))).toEqual(ids.slice(1));
    expect(found.every(({ ids, scored }) => ids.length - scored >= 11 || ids[0] === 0)).toBe(true);
  });
});

interface Scored {
  scores: number[];
  /** Sequences in each pass. */
  passes: number[];
  progress: [number, number][];
}

async function score(engine: Engine, prompt: readonly number[], continuations: readonly number[][]): Promise<Scored> {
  const passes: number[] = [];
  const watched = withForward(engine, (pass, past) => {
    passes.push(pass.ids.length);
    return engine.forward(pass, past);
  });
  const cache = engine.newCache();
  const logits = forward(engine, prompt, cache).slice();
  const progress: [number, number][] = [];
  const options = { onProgress: (done: number, total: number) => void progress.push([done, total]) };
  const scores = await scoreContinuations(watched, cache, logits, continuations, options);
  expect(cache.length).toBe(prompt.length);
  cache.dispose();
  return { scores, passes, progress };
}

describe.each(engines)('the scores of continuations, engine %s', (_, engine) => {
  const expectScores = (prompt: readonly number[], continuations: readonly number[][], scores: readonly number[]) => {
    for (const [i, ids] of continuations.entries()) {
      expect(scores[i]).toBeCloseTo(sum(logprobs([...prompt, ...ids]).slice(-ids.length)), 3);
    }
  };

  it('that share passes are those of each alone', async () => {
    const prompt = idsOf(7);
    const lengths = [61, 1, 3, 40, 2, 61, 17, 1, 5, 60, 33, 2];
    const continuations = lengths.map((length, i) => idsOf(length, i + 4));
    const { scores, passes, progress } = await score(engine(), prompt, continuations);
    expectScores(prompt, continuations, scores);
    expect(passes).toEqual([4, 4, 2]); // of 60 ids at most, 256 together; those of one id need no pass
    expect(progress).toEqual([0, 4, 8].map((done) => [done, 10]));
  });

  it('behind a long prompt, which each holds once more, share fewer', async () => {
    const prompt = idsOf(590);
    const continuations = Array.from({ length: 20 }, (_, i) => idsOf(9, i));
    const { scores, passes } = await score(engine(), prompt, continuations);
    expectScores(prompt, continuations, scores);
    expect(passes).toEqual([13, 7]); // of 598 positions each, 8192 together
  });

  it('longer than what one pass may run have one each', async () => {
    const continuations = [idsOf(300, 1), idsOf(280, 2)];
    const { scores, passes } = await score(engine(), [5], continuations);
    expectScores([5], continuations, scores);
    expect(passes).toEqual([1, 1]);
  });

  it('of one id each need no pass at all', async () => {
    const { scores, passes } = await score(engine(), idsOf(9), [[4], [8]]);
    expectScores(idsOf(9), [[4], [8]], scores);
    expect(passes).toEqual([]);
  });
});

it('scores whose computing is aborted are none', async () => {
  const cache = built.eager.engine.newCache();
  const logits = forward(built.eager.engine, [1, 2], cache);
  const before = tf.memory().numTensors;
  const signal = AbortSignal.abort(new Error('enough'));
  await expect(scoreContinuations(built.eager.engine, cache, logits, [[1, 2]], { signal })).rejects.toThrow('enough');
  expect(tf.memory().numTensors).toBe(before);
  cache.dispose();
});
