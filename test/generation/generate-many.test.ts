// Many sequences decoded together, on values: each row gives the ids that it gives alone.

import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import { type GenerateOptions, type GenerateStats, newStats } from '../../src/generation/generate.js';
import { generateRows, type RowRequest, type RowSource } from '../../src/generation/generate-many.js';
import { makeSampler, type Sampler } from '../../src/sampling/sampler.js';
import type { Rows } from '../../src/tf/inputs.js';
import { bothEngines } from '../support/both-engines.js';
import { goldenDir, readGolden } from '../support/golden.js';
import { TINY } from '../support/model-folder.js';
import { open } from '../support/open.js';
import { greedy, optionsFor, PLAIN, run } from '../support/run.js';

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
  options?: Partial<GenerateOptions>;
  isStopped?: (ids: readonly number[]) => boolean;
}

interface Row extends RowRequest {
  readonly ids: number[];
  end?: string;
  error?: unknown;
}

/** Runs them and gives each row's ids and end; `most` is how many ran together. */
async function runRows(engine: Engine, asked: readonly Asked[], concurrency: number): Promise<Row[]> {
  const rows = asked.map((one) => makeRow(engine, one));
  const waiting = [...rows];
  const source: RowSource<Row> = { take: () => waiting.shift(), wait: async () => false };
  for await (const event of generateRows(engine, source, concurrency)) {
    if ('id' in event) {
      event.request.ids.push(event.id);
    }
    if ('end' in event) {
      event.request.end = event.end;
    }
    if ('error' in event) {
      event.request.error = event.error;
    }
  }
  return rows;
}

function makeRow(engine: Engine, { promptIds, sampler, options = {}, isStopped = () => false }: Asked): Row {
  const ids: number[] = [];
  const stats: GenerateStats = newStats();
  return { promptIds, sampler, options: optionsFor(engine, options), stats, ids, isStopped: () => isStopped(ids) };
}

/** The engine, and all passes that it was asked for. */
function watched(engine: Engine): { engine: Engine; passes: Rows[] } {
  const passes: Rows[] = [];
  const forwardRows: Engine['forwardRows'] = (rows, cache) => {
    passes.push(rows);
    return engine.forwardRows(rows, cache);
  };
  const watching = { forwardRows, forward: engine.forward.bind(engine), config: engine.config, name: engine.name };
  const rest = { newCache: () => engine.newCache(), numTensors: () => engine.numTensors(), dispose: () => {} };
  return { engine: { ...watching, ...rest }, passes };
}

describe.each(models)('%s: a batch of unequal lengths equals the single runs', (_, model) => {
  it.each([1, 2, 3, 8])('greedy and sampled, %i together, with ends at different times', async (concurrency) => {
    const { engine } = model();
    const before = tf.memory().numTensors;
    const asked = PROMPTS.flatMap((promptIds, i) => [
      { promptIds, sampler: greedy(), options: { maxTokens: 3 + 5 * i } },
      { promptIds, sampler: sampled(i), options: { maxTokens: 29 - 3 * i, onFull: 'stop' as const } },
    ]);
    const rows = await runRows(engine, asked, concurrency);
    for (const [i, { promptIds, options }] of asked.entries()) {
      const sampler = i % 2 === 0 ? greedy() : sampled((i - 1) / 2);
      const alone = await run(built.eager.engine, promptIds, options, sampler);
      expect(rows[i], `row ${i}`).toMatchObject({ ids: alone.ids, end: alone.reason });
      expect(rows[i]?.stats).toMatchObject({
        generationTokens: alone.stats.generationTokens,
        cachePositions: alone.stats.cachePositions,
        cacheBytes: alone.stats.cacheBytes,
      });
    }
    expect(tf.memory().numTensors).toBe(before);
  });

  it('to the end of the context, where one stops and another goes on with what it keeps', async () => {
    const { engine } = model();
    const options = [{ maxTokens: 200 }, { maxTokens: 90, onFull: 'reprefill' as const }];
    const asked = PROMPTS.slice(0, 4).map((promptIds, i) => ({
      promptIds,
      sampler: greedy(),
      options: options[i % 2],
    }));
    const rows = await runRows(engine, asked as Asked[], 4);
    for (const [i, { promptIds, options }] of (asked as Asked[]).entries()) {
      const alone = await run(built.eager.engine, promptIds, options);
      expect(rows[i]).toMatchObject({ ids: alone.ids, end: i % 2 === 0 ? 'context' : 'length' });
    }
  });

  it('rows that run uncached beside them', async () => {
    const asked = PROMPTS.slice(0, 3).map((promptIds, i) => ({
      promptIds,
      sampler: greedy(),
      options: { cache: i !== 1, maxTokens: 6 },
    }));
    const rows = await runRows(model().engine, asked, 3);
    for (const [i, { promptIds, options }] of asked.entries()) {
      expect(rows[i]?.ids).toEqual((await run(built.eager.engine, promptIds, options)).ids);
      expect(rows[i]?.stats.cachePositions === 0).toBe(i === 1);
    }
  });
});

describe('a row that', () => {
  const three = (one: Partial<Asked>): Asked[] =>
    PROMPTS.slice(0, 3).map((promptIds, i) => ({ promptIds, sampler: greedy(), ...(i === 1 ? one : {}) }));
  const others = async (rows: readonly Row[]) => {
    for (const i of [0, 2]) {
      const alone = await run(built.eager.engine, PROMPTS[i] as number[]);
      expect(rows[i]).toMatchObject({ ids: alone.ids, end: 'length' });
    }
  };

  it('stops early leaves, and the others go on', async () => {
    const rows = await runRows(built.eager.engine, three({ isStopped: (ids) => ids.length === 3 }), 3);
    expect(rows[1]).toMatchObject({ end: 'stop', ids: expect.objectContaining({ length: 3 }) });
    await others(rows);
  });

  it('meets an end-of-text id leaves without it', async () => {
    const [, second] = (await run(built.eager.engine, PROMPTS[1] as number[])).ids as [number, number];
    const { ids } = await run(built.eager.engine, PROMPTS[1] as number[], { stopIds: [second] });
    const rows = await runRows(built.eager.engine, three({ options: { stopIds: [second] } }), 3);
    expect(rows[1]).toMatchObject({ end: 'stop', ids });
    await others(rows);
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
    const rows = await runRows(built.eager.engine, three({ sampler }), 3);
    expect(rows[1]).toMatchObject({ error: broken, ids: Array(after).fill(1) });
    await others(rows);
    expect(tf.memory().numTensors).toBe(before);
  });

  it.each<[string, Partial<GenerateOptions>]>([
    ['runs uncached', { cache: false }],
    ['is prefilled anew', { onFull: 'reprefill', nCtx: 10, maxTokens: 20 }],
  ])('%s and fails there says why, and the others go on', async (_, options) => {
    const before = tf.memory().numTensors;
    const rows = await runRows(built.eager.engine, three({ sampler: () => 99, options }), 3); // an id that the model does not have
    expect(rows[1]).toMatchObject({ error: expect.any(Error), ids: expect.arrayContaining([99]) });
    await others(rows);
    expect(tf.memory().numTensors).toBe(before);
  });

  it('fails in a pass that others share takes these with it, and no more', async () => {
    const before = tf.memory().numTensors;
    const asked = [...three({ sampler: () => 99 }), { promptIds: PROMPTS[3] as number[], sampler: greedy() }];
    const rows = await runRows(built.eager.engine, asked, 3);
    expect(rows.slice(0, 3).map(({ error }) => error)).toEqual(Array(3).fill(expect.any(Error)));
    expect(rows[3]).toMatchObject({ ids: (await run(built.eager.engine, PROMPTS[3] as number[])).ids, end: 'length' });
    expect(tf.memory().numTensors).toBe(before);
  });

  it('wants no token is only prefilled', async () => {
    const rows = await runRows(built.eager.engine, three({ options: { maxTokens: 0 } }), 3);
    expect(rows[1]).toMatchObject({ end: 'length', ids: [] });
    await others(rows);
  });
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
    await runRows(engine, asked, 1);
    expect(passes.map(({ ids }) => ids[0])).toEqual(prompts);
  });

  it('one prompt for several samples, and one pass for one id of each', async () => {
    const { engine, passes } = watched(built.eager.engine);
    const asked = [0, 1, 2, 3].map((i) => ({ promptIds: PROMPTS[1] as number[], sampler: sampled(i) }));
    await runRows(engine, asked, 4);
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
    await runRows(engine, asked, 1);
    expect(passes.map(({ ids }) => ids[0])).toEqual([PROMPTS[1], [20], [6]]);
  });
});

it('an abort ends every row, and frees all', async () => {
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
  const rows = await runRows(built.eager.engine, asked, 2);
  expect(rows.map(({ end }) => end)).toEqual(['abort', 'abort', 'abort']);
  expect(rows[2]?.ids).toEqual([]);
  expect(tf.memory().numTensors).toBe(before);
});

it('a reader that goes away frees all', async () => {
  const before = tf.memory().numTensors;
  const rows = PROMPTS.map((promptIds) => makeRow(built.eager.engine, { promptIds, sampler: greedy() }));
  for await (const _ of generateRows(built.eager.engine, { take: () => rows.shift(), wait: async () => false }, 3)) {
    if (rows.length < 4) {
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
  const rows = await runRows(model.engine, asked, 3);
  expect(rows[1]?.ids).toEqual(golden.greedy.slice(0, 8).map(({ id }) => id));
  model.dispose();
});
