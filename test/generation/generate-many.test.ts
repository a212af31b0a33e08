// Many sequences decoded together, on values: each gives the ids that it gives alone. Each pass overwrites the logits of
// the one before.

import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import type { Engine, Pass } from '../../src/engine/engine.js';
import type { KvRows } from '../../src/engine/kv-rows.js';
import { generateMany, type RequestSource, type SequenceRequest } from '../../src/generation/generate-many.js';
import {
  type EndedText,
  NOTHING_MEASURED,
  type SequenceOptions,
  type SequenceStats,
} from '../../src/generation/sequence.js';
import { makeSampler, type Sampler } from '../../src/sampling/sampler.js';
import { lending } from '../support/borrowed-logits.js';
import { bothEngines } from '../support/both-engines.js';
import { expectParity, goldenDir, readGolden } from '../support/golden.js';
import { TINY } from '../support/model-folder.js';
import { open } from '../support/open.js';
import { greedy, optionsFor, PLAIN, type RunResult, run } from '../support/run.js';

const SHAPE = { ...TINY, n_positions: 60, n_embd: 16, n_layer: 3 };
const built = bothEngines(SHAPE);

const models = [
  ['eager', () => built.eager],
  ['graph', () => built.graph],
] as const;

/** Prompts of unequal lengths, some of which begin alike. */
const PROMPTS = [
  [3],
  [1, 2, 3, 4, 5, 6, 7, 8, 9],
  [1, 2, 3, 4, 20],
  [9, 9, 9],
  [1, 2, 3, 4, 5, 6],
  [30, 7],
  [5],
  [6, 1],
];
const sampled = (seed: number): Sampler => makeSampler({ ...PLAIN, temperature: 1.3, topK: 20 }, seed, []);

interface Asked {
  promptIds: readonly number[];
  sampler: Sampler;
  options?: Partial<SequenceOptions>;
  isStopped?: (ids: readonly number[]) => boolean;
}

/** A sequence, and what came of it. */
interface Run extends SequenceRequest {
  readonly ids: number[];
  /** Of the end, or of the latest id. */
  stats: SequenceStats;
  end?: string;
  error?: unknown;
}

/** Runs them, `concurrency` together, and gives the ids and the end of each. */
async function runMany(engine: Engine, asked: readonly Asked[], concurrency: number): Promise<Run[]> {
  const runs = asked.map((one) => makeRun(engine, one));
  const waiting = [...runs];
  const source: RequestSource<Run> = { take: () => waiting.shift(), wait: async () => false };
  for await (const event of generateMany(lending(engine), source, concurrency)) {
    const { request } = event;
    if ('token' in event) {
      request.ids.push(event.token.id);
      request.stats = event.token.stats;
      expect(request.stats.generationTokens).toBe(request.ids.length);
    }
    if ('end' in event) {
      request.end = event.end.finishReason;
      request.stats = event.end.stats;
    }
    if ('error' in event) {
      request.error = event.error;
    }
  }
  return runs;
}

function makeRun(engine: Engine, { promptIds, sampler, options = {}, isStopped = () => false }: Asked): Run {
  const ids: number[] = [];
  const all = { ...optionsFor(engine, options), isStopped: () => isStopped(ids) };
  return { promptIds, sampler, options: all, ids, stats: NOTHING_MEASURED };
}

/** The engine, and all passes that it was asked for. */
function watched(engine: Engine): { engine: Engine; passes: Pass[] } {
  const passes: Pass[] = [];
  const forward: Engine['forward'] = (pass, cache) => {
    passes.push(pass);
    return engine.forward(pass, cache);
  };
  const { name, config, parameters, ragged, passCost } = engine;
  const newCache: Engine['newCache'] = (positions) => engine.newCache(positions);
  const gather: Engine['gather'] = (sources) => engine.gather(sources);
  const rest = { numTensors: () => engine.numTensors(), dispose: () => {} };
  return { engine: { name, config, parameters, ragged, passCost, newCache, gather, forward, ...rest }, passes };
}

/** What each sequence gives alone, on the eager engine: the same for every test that asks for it. */
const ranAlone: RunResult[] = [];

describe.each(models)('%s: a batch of unequal lengths equals the single runs', (_, model) => {
  it.each([1, 2, 3, 8])('greedy and sampled, %i together, with ends at different times', async (concurrency) => {
    const { engine } = model();
    const before = tf.memory().numTensors;
    const asked = PROMPTS.flatMap((promptIds, i) => [
      { promptIds, sampler: greedy(), options: { maxTokens: 3 + 2 * i } },
      { promptIds, sampler: sampled(i), options: { maxTokens: 17 - 2 * i, onFull: 'stop' as const } },
    ]);
    const runs = await runMany(engine, asked, concurrency);
    for (const [i, { promptIds, options }] of asked.entries()) {
      const sampler = i % 2 === 0 ? greedy() : sampled((i - 1) / 2);
      ranAlone[i] ??= await run(built.eager.engine, promptIds, options, sampler);
      const alone = ranAlone[i];
      expect(runs[i], `number ${i}`).toMatchObject({ ids: alone.ids, end: alone.reason });
      expect(runs[i]?.stats).toMatchObject({
        generationTokens: alone.stats.generationTokens,
        cachePositions: alone.stats.cachePositions,
        cacheBytes: alone.stats.cacheBytes,
      });
    }
    expect(tf.memory().numTensors).toBe(before);
  });

  it('to the end of the context, where one stops and another goes on with what it keeps', async () => {
    const { engine } = model();
    const options = [{ maxTokens: 200 }, { maxTokens: 70, onFull: 'reprefill' as const }];
    const asked = PROMPTS.slice(0, 4).map((promptIds, i) => ({
      promptIds,
      sampler: greedy(),
      options: options[i % 2],
    }));
    const runs = await runMany(engine, asked as Asked[], 4);
    for (const [i, { promptIds, options }] of (asked as Asked[]).entries()) {
      const alone = await run(built.eager.engine, promptIds, options);
      expect(runs[i]).toMatchObject({ ids: alone.ids, end: i % 2 === 0 ? 'context' : 'length' });
    }
  });

  it('sequences that run uncached beside them', async () => {
    const asked = PROMPTS.slice(0, 3).map((promptIds, i) => ({
      promptIds,
      sampler: greedy(),
      options: { cache: i !== 1, maxTokens: 6 },
    }));
    const runs = await runMany(model().engine, asked, 3);
    for (const [i, { promptIds, options }] of asked.entries()) {
      expect(runs[i]?.ids).toEqual((await run(built.eager.engine, promptIds, options)).ids);
      expect(runs[i]?.stats.cachePositions === 0).toBe(i === 1);
    }
  });
});

describe('a sequence that', () => {
  const three = (one: Partial<Asked>): Asked[] =>
    PROMPTS.slice(0, 3).map((promptIds, i) => ({ promptIds, sampler: greedy(), ...(i === 1 ? one : {}) }));
  const others = async (runs: readonly Run[]) => {
    for (const i of [0, 2]) {
      const alone = await run(built.eager.engine, PROMPTS[i] as number[]);
      expect(runs[i]).toMatchObject({ ids: alone.ids, end: 'length' });
    }
  };

  it('stops early leaves, and the others go on', async () => {
    const runs = await runMany(built.eager.engine, three({ isStopped: (ids) => ids.length === 3 }), 3);
    expect(runs[1]).toMatchObject({ end: 'stop', ids: expect.objectContaining({ length: 3 }) });
    await others(runs);
  });

  it('meets an end-of-text id leaves without it', async () => {
    const [, second] = (await run(built.eager.engine, PROMPTS[1] as number[])).ids as [number, number];
    const { ids } = await run(built.eager.engine, PROMPTS[1] as number[], { stopIds: [second] });
    const runs = await runMany(built.eager.engine, three({ options: { stopIds: [second] } }), 3);
    expect(runs[1]).toMatchObject({ end: 'stop', ids });
    await others(runs);
  });

  it.each([0, 2])('fails after %i ids says why, and the others go on', async (after) => {
    const broken = new Error('no more');
    const sampler: Sampler = (_, ids) => {
      if (ids.length === 9 + after) {
        throw broken;
      }
      return 1;
    };
    const before = tf.memory().numTensors;
    const runs = await runMany(built.eager.engine, three({ sampler }), 3);
    expect(runs[1]).toMatchObject({ error: broken, ids: Array(after).fill(1) });
    await others(runs);
    expect(tf.memory().numTensors).toBe(before);
  });

  it.each<[string, Partial<SequenceOptions>]>([
    ['runs uncached', { cache: false }],
    ['is prefilled anew', { onFull: 'reprefill', nCtx: 10, maxTokens: 20 }],
  ])('%s and fails there says why, and the others go on', async (_, options) => {
    const before = tf.memory().numTensors;
    const runs = await runMany(built.eager.engine, three({ sampler: () => 99, options }), 3); // an id that the model does not have
    expect(runs[1]).toMatchObject({ error: expect.any(Error), ids: expect.arrayContaining([99]) });
    await others(runs);
    expect(tf.memory().numTensors).toBe(before);
  });

  it('fails in a pass that others share takes these with it, and no more', async () => {
    const before = tf.memory().numTensors;
    const asked = [...three({ sampler: () => 99 }), { promptIds: PROMPTS[3] as number[], sampler: greedy() }];
    const runs = await runMany(built.eager.engine, asked, 3);
    expect(runs.slice(0, 3).map(({ error }) => error)).toEqual(Array(3).fill(expect.any(Error)));
    expect(runs[3]).toMatchObject({ ids: (await run(built.eager.engine, PROMPTS[3] as number[])).ids, end: 'length' });
    expect(tf.memory().numTensors).toBe(before);
  });

  it('wants no token is only prefilled', async () => {
    const runs = await runMany(built.eager.engine, three({ options: { maxTokens: 0 } }), 3);
    expect(runs[1]).toMatchObject({ end: 'length', ids: [] });
    await others(runs);
  });
});

it('at the end of each the prompt cache is given its keys and values alone, from its beginning on', async () => {
  const { engine } = built.eager;
  const before = tf.memory().numTensors;
  const asked = [1, 0, 4].map((i, n) => ({ promptIds: PROMPTS[i] as number[], options: { maxTokens: 4 + 2 * n } }));
  const exported = ({ cache, ids }: EndedText) => {
    const rows = cache.export(0, ids.length);
    cache.dispose();
    return rows;
  };
  const texts = (found: EndedText[]) => ({
    restore: () => null,
    keep: () => {},
    keepText: (ended: EndedText) => void found.push({ ...ended, cache: ended.cache.fork() }),
  });
  const together = asked.map(() => [] as EndedText[]);
  const runs = asked.map(({ promptIds, options }, n) => ({
    promptIds,
    sampler: greedy(),
    options: { ...options, promptCache: texts(together[n] as EndedText[]) },
  }));
  await runMany(engine, runs, 3);
  for (const [n, { promptIds, options }] of asked.entries()) {
    const alone: EndedText[] = [];
    const { ids } = await run(engine, promptIds, { ...options, promptCache: texts(alone) });
    const [[one], [other]] = [together[n] as EndedText[], alone] as [[EndedText], [EndedText]];
    expect(one).toMatchObject({ ids: [...promptIds, ...ids.slice(0, -1)], promptTokens: promptIds.length });
    expect(one.cache.lengths).toEqual([one.ids.length]);
    const [mine, its] = [one, other].map(exported) as [KvRows, KvRows];
    for (const [layer, { k, v }] of mine.layers.entries()) {
      expectParity(k, its.layers[layer]?.k as Float32Array);
      expectParity(v, its.layers[layer]?.v as Float32Array);
    }
  }
  expect(tf.memory().numTensors).toBe(before);
});

describe('what is computed once', () => {
  it('beginnings that take turns, and a prompt that comes back after many others', async () => {
    const { engine, passes } = watched(built.eager.engine);
    const prompts = Array.from({ length: 20 }, (_, i) => [i, 29, 30, 31]);
    const asked = [...prompts, ...prompts].map((promptIds) => ({
      promptIds,
      sampler: greedy(),
      options: { maxTokens: 1 },
    }));
    await runMany(engine, asked, 1);
    expect(passes.map(({ ids }) => ids[0])).toEqual(prompts);
  });

  it('one prompt for several samples, and one pass for one id of each', async () => {
    const { engine, passes } = watched(built.eager.engine);
    const asked = [0, 1, 2, 3].map((i) => ({ promptIds: PROMPTS[1] as number[], sampler: sampled(i) }));
    await runMany(engine, asked, 4);
    expect(passes.map(({ ids }) => ids.length)).toEqual([1, ...Array(7).fill(4)]);
    expect(passes[0]?.ids[0]).toEqual(PROMPTS[1]);
  });

  it('beginnings that several prompts share', async () => {
    const { engine, passes } = watched(built.eager.engine);
    const asked = [1, 2, 4].map((i) => ({
      promptIds: PROMPTS[i] as number[],
      sampler: greedy(),
      options: { maxTokens: 1 },
    }));
    await runMany(engine, asked, 1);
    expect(passes.map(({ ids }) => ids[0])).toEqual([PROMPTS[1], [20], [6]]);
  });
});

it('an abort ends every sequence, and frees all', async () => {
  const controller = new AbortController();
  const before = tf.memory().numTensors;
  const options = { signal: controller.signal, maxTokens: 20 };
  const stopping: Sampler = (_, ids) => {
    if (ids.length === 12) {
      controller.abort();
    }
    return 1;
  };
  const asked = [1, 2, 0].map((i) => ({ promptIds: PROMPTS[i] as number[], sampler: stopping, options }));
  const runs = await runMany(built.eager.engine, asked, 2);
  expect(runs.map(({ end }) => end)).toEqual(['abort', 'abort', 'abort']);
  expect(runs[2]?.ids).toEqual([]);
  expect(tf.memory().numTensors).toBe(before);
});

it('a reader that goes away frees all', async () => {
  const before = tf.memory().numTensors;
  const waiting = PROMPTS.map((promptIds) => makeRun(built.eager.engine, { promptIds, sampler: greedy() }));
  const source: RequestSource<Run> = { take: () => waiting.shift(), wait: async () => false };
  for await (const _ of generateMany(built.eager.engine, source, 3)) {
    if (waiting.length < 4) {
      break;
    }
  }
  expect(tf.memory().numTensors).toBe(before);
});

it('agrees with Hugging Face', async () => {
  const name = 'untied';
  const golden = readGolden(name);
  const model = await open(goldenDir(name));
  const asked = [3, 11, 7].map((length) => ({ promptIds: golden.prompt_ids.slice(0, length), sampler: greedy() }));
  const runs = await runMany(model.engine, asked, 3);
  expect(runs[1]?.ids).toEqual(golden.greedy.slice(0, 8).map(({ id }) => id));
  model.dispose();
});
