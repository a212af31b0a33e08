// The parity tests of one backend. TF.js has one for the whole process: so one test file for each.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BackendName } from '../../src/backends.js';
import type { Model } from '../../src/library/model.js';
import { logprobOf } from '../../src/sampling/logprobs.js';
import type { Sampler } from '../../src/sampling/sampler.js';
import { expectParity, type Golden, type GoldenStep, goldenDir, readGolden, sureSteps } from './golden.js';
import { open, useBackend } from './open.js';
import { forward, greedy, run } from './run.js';

/** Compares every number of these golden folders, cached and uncached, with what Hugging Face computed. */
export function testParity(
  backend: BackendName,
  names: readonly string[],
  engine: 'eager' | 'graph' | 'simd' = 'eager',
): void {
  beforeAll(async () => {
    if (backend !== 'simd') {
      expect((await useBackend(backend)).name).toBe(backend);
    }
  });
  const caches = engine === 'graph' ? [true] : [true, false]; // without a cache it is the eager engine that runs
  describe.each(names)(`${backend}, ${engine}: %s`, (name) => {
    const golden = readGolden(name);
    let model: Model;
    beforeAll(async () => {
      const onNote = (line: string) => expect.unreachable(line);
      model = await open(goldenDir(name), { backend, engine: engine === 'simd' ? 'auto' : engine, onNote });
      const scratch = model.engine.newCache();
      forward(model.engine, [0], scratch);
      scratch.dispose();
      expect(model.engine.name).toBe(engine);
    });
    afterAll(() => model.dispose());

    it.each(caches)('logits behind the first and the last id, cache %s', (cache) => {
      expectParity(model.logits(golden.prompt_ids.slice(0, 1), { cache }), golden.logits_first);
      expectParity(model.logits(golden.prompt_ids, { cache }), golden.logits_last);
    });

    it.each(caches)('log-probabilities of the prompt, token by token, cache %s', (cache) => {
      const logprobs = cache ? cachedLogprobs : uncachedLogprobs;
      expectParity(logprobs(model, golden), golden.prompt_logprobs);
    });

    it.each(caches)('greedy ids and their log-probabilities, cache %s', async (cache) => {
      await expectGreedy(model, golden, golden.greedy, cache, greedy());
    });
  });
}

/** Greedy decoding gives these ids with these log-probabilities, as far as the ids are sure. */
export async function expectGreedy(
  model: Model,
  golden: Golden,
  steps: readonly GoldenStep[],
  cache: boolean,
  sampler: Sampler,
): Promise<void> {
  const sure = sureSteps(steps);
  expect(sure.length).toBeGreaterThan(0);
  const logprobs: number[] = [];
  const recording: Sampler = (logits, ids) => {
    const id = sampler(logits, ids);
    logprobs.push(logprobOf(logits, id));
    return id;
  };
  const { ids, stats } = await run(model.engine, golden.prompt_ids, { maxTokens: sure.length, cache }, recording);
  expect(ids).toEqual(sure.map(({ id }) => id));
  expectParity(
    logprobs,
    sure.map(({ logprob }) => logprob),
  );
  expect(stats.cachePositions).toBe(cache ? golden.prompt_ids.length + sure.length - 1 : 0);
}

function cachedLogprobs({ engine }: Model, { prompt_ids: ids }: Golden): number[] {
  const cache = engine.newCache();
  try {
    return ids.slice(0, -1).map((id, i) => logprobOf(forward(engine, [id], cache), ids[i + 1] as number));
  } finally {
    cache.dispose();
  }
}

/** All of one pass. */
function uncachedLogprobs({ engine }: Model, { prompt_ids: ids }: Golden): number[] {
  const wanted = ids.slice(0, -1).map((_, i) => i);
  const logits = engine.forward({ ids: [ids], wanted }, null);
  return wanted.map((i) => logprobOf(logits[i] as Float32Array, ids[i + 1] as number));
}
