// Drafts on the engines, one sequence and many: what is generated is what is generated without. On simd to the bit of the
// logits; on node the ids are.

import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import type { DraftOptions } from '../../src/generation/drafts.js';
import { generateMany, type SequenceRequest } from '../../src/generation/generate-many.js';
import { PromptLookup } from '../../src/generation/prompt-lookup.js';
import type { EndedText, SequenceOptions } from '../../src/generation/sequence.js';
import type { Model } from '../../src/library/model.js';
import { makeSampler, type Sampler } from '../../src/sampling/sampler.js';
import { lending } from '../support/borrowed-logits.js';
import { expectParity } from '../support/golden.js';
import { randomize, TINY, writeModel } from '../support/model-folder.js';
import { open, useBackend } from '../support/open.js';
import { forward, optionsFor, PLAIN, run } from '../support/run.js';
import { tempDirs } from '../support/temp-dir.js';

const SHAPE = { ...TINY, n_positions: 150, n_embd: 16 };
const newDir = tempDirs();
let dir: string;
let models: Record<'simd' | 'graph', Model>;
let empty: number;

beforeAll(async () => {
  await useBackend('node');
  dir = writeModel(newDir(), { config: SHAPE, tensors: randomize(SHAPE) });
  empty = tf.memory().numTensors;
  models = {
    simd: await open(dir, { backend: 'simd', engine: 'auto', threads: 2 }),
    graph: await open(dir, { engine: 'graph' }),
  };
}, 60_000);
afterAll(() => {
  for (const model of Object.values(models)) {
    model.dispose();
  }
  expect(tf.memory().numTensors).toBe(empty);
});

const lookup = (most: number): DraftOptions => ({ most, drafter: () => new PromptLookup() });

/** Cases of all kinds: the text repeats its prompt in most of them, which is sampled from few ids. */
const CASES = Array.from({ length: 24 }, (_, i) => {
  const phrase = Array.from({ length: 3 + (i % 5) }, (_, j) => (7 * i + 5 * j) % SHAPE.vocab_size);
  return {
    promptIds: Array.from({ length: 1 + (i % 4) }, () => phrase).flat(),
    sampling: {
      ...PLAIN,
      temperature: [0, 0.3, 0, 1][i % 4] as number,
      topK: [0, 2, 1][i % 3] as number,
      repeatPenalty: i % 5 === 4 ? 1.2 : 1,
    },
    options: {
      maxTokens: 5 + ((11 * i) % 60),
      nCtx: i % 6 === 5 ? 30 : SHAPE.n_positions,
      onFull: i % 2 === 0 ? ('stop' as const) : ('reprefill' as const),
      stopIds: i % 4 === 3 ? [3] : [],
    },
    most: 1 + (i % 9),
  };
});

/** The engine, whose drafts then do not depend on how fast it is. */
const unhurried = (engine: Engine): Engine => ({
  ...lending(engine),
  passCost: engine.passCost ?? ((ids) => 0.9 + 0.1 * ids),
});

/** Notes the bits of the logits that it is given. */
function noting(sampler: Sampler, bits: string[]): Sampler {
  return (logits, ids) => {
    bits.push(Buffer.from(logits.slice().buffer).toString('base64'));
    return sampler(logits, ids);
  };
}

/** What came of a case. */
interface Result {
  ids: number[];
  reason: string;
  positions: number;
  bits: string[];
  accepted: number;
}

async function alone(engine: Engine, i: number, isDrafted: boolean): Promise<Result> {
  const { promptIds, sampling, options, most } = CASES[i] as (typeof CASES)[number];
  const bits: string[] = [];
  const draft = isDrafted ? lookup(most) : undefined;
  const { ids, reason, stats } = await run(
    unhurried(engine),
    promptIds,
    { ...options, draft },
    noting(makeSampler(sampling, i), bits),
  );
  return { ids, reason, positions: stats.cachePositions, bits, accepted: stats.drafts?.accepted ?? 0 };
}

/** The first `count` cases. */
async function together(
  engine: Engine,
  count: number,
  concurrency: number,
  extra: Partial<SequenceOptions> = {},
): Promise<Result[]> {
  const cases = CASES.slice(0, count);
  const results = cases.map((): Result => ({ ids: [], reason: '', positions: 0, bits: [], accepted: 0 }));
  const requests = cases.map(({ promptIds, sampling, options, most }, i): SequenceRequest & { i: number } => ({
    i,
    promptIds,
    sampler: noting(makeSampler(sampling, i), (results[i] as Result).bits),
    options: optionsFor(engine, { ...options, ...extra, draft: i % 8 === 7 ? undefined : lookup(most) }),
  }));
  const source = { take: () => requests.shift(), wait: async () => false };
  for await (const event of generateMany(unhurried(engine), source, concurrency)) {
    const result = results[event.request.i] as Result;
    if ('token' in event) {
      result.ids.push(event.token.id);
    } else if ('end' in event) {
      const { finishReason: reason, stats } = event.end;
      Object.assign(result, { reason, positions: stats.cachePositions, accepted: stats.drafts?.accepted ?? 0 });
    } else {
      throw event.error;
    }
  }
  return results;
}

const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
const accepted = (results: readonly Result[]) => sum(results.map((result) => result.accepted));
/** Without drafts, on simd. */
const plain: Result[] = [];
beforeAll(async () => {
  for (const i of CASES.keys()) {
    plain.push(await alone(models.simd.engine, i, false));
  }
});

/** The same, and on simd to the bit. */
function expectPlain(found: Result | undefined, i: number, isExact: boolean): void {
  const expected = plain[i] as Result;
  expect({ ...found, bits: [], accepted: 0 }, `case ${i}`).toEqual({ ...expected, bits: [] });
  isExact && expect(found?.bits).toEqual(expected.bits);
}

describe.each([
  ['simd', CASES.length, [1, 2, 5, CASES.length]],
  ['graph', 8, [1, 3]],
] as const)('%s', (name, count, concurrencies) => {
  const isExact = name === 'simd';
  let engine: Engine;
  beforeAll(() => {
    engine = models[name].engine;
  });

  it('one sequence', async () => {
    const drafted: Result[] = [];
    for (let i = 0; i < count; i++) {
      drafted.push(await alone(engine, i, true));
      expectPlain(drafted[i], i, isExact);
    }
    expect(accepted(drafted)).toBeGreaterThan(isExact ? 5 * count : count);
  });

  it.each(concurrencies)('many, %i together', async (concurrency) => {
    const before = tf.memory().numTensors;
    const found = await together(engine, count, concurrency);
    for (let i = 0; i < count; i++) {
      expectPlain(found[i], i, isExact);
    }
    expect(accepted(found)).toBeGreaterThan(isExact && concurrency < 8 ? count : 0);
    expect(tf.memory().numTensors).toBe(before);
  });

  it('what is kept at the end are the positions of the text alone', async () => {
    const kept: EndedText[] = [];
    const keepText = (ended: EndedText) => {
      expect(ended.cache.lengths).toEqual([ended.ids.length]);
      kept.push({ ...ended, cache: ended.cache.fork() });
    };
    const promptCache = { restore: () => null, keep: () => {}, keepText };
    await together(engine, count, 4, { promptCache, onFull: 'stop', stopIds: [9, 3, 1] });
    expect(kept.length).toBeGreaterThan(count / 2);
    for (const { ids, cache } of kept) {
      const [expected, found] = [forward(engine, [...ids, 5], null), forward(engine, [5], cache)];
      isExact ? expect(found).toEqual(expected) : expectParity(found, expected);
      cache.dispose();
    }
  });
});
