// What stands between the loop and the engine when a run is watched, and the passes behind the run.

import { describe, expect, it } from 'vitest';
import type { Pass } from '../../src/engine/engine.js';
import { withForward } from '../../src/engine/with-forward.js';
import { PassTimes } from '../../src/generation/pass-times.js';
import { rerun, uncachedTimes } from '../../src/generation/rerun.js';
import { MockEngine } from '../support/mock-engine.js';
import { greedy, run } from '../support/run.js';

/** The next id is the last one and 1. */
function counting(): MockEngine {
  return new MockEngine(
    (ids) => Float32Array.from({ length: 256 }, (_, id) => (id === (ids.at(-1) ?? 0) + 1 ? 9 : 0)),
    {
      nPositions: 1024,
    },
  );
}

const quiet = { signal: new AbortController().signal, onProgress: () => {} };

describe('PassTimes', () => {
  it('names the parts of the prompt, and has a time for each choice', async () => {
    const times = new PassTimes(counting());
    const prompt = Array.from({ length: 300 }, (_, i) => i % 50);
    const { ids } = await run(times.engine, prompt, { maxTokens: 3 }, times.record(greedy()));
    expect(ids).toEqual([50, 51, 52]);
    expect(times.prompt.map(({ from, to }) => [from, to])).toEqual([
      [0, 256],
      [256, 300],
    ]);
    expect(times.steps.length).toBe(3);
    expect(times.steps.every((ms) => ms > 0)).toBe(true);
    const all = times.prompt.reduce((sum, { ms }) => sum + ms, 0);
    expect(times.steps[0]).toBeCloseTo(all, 6);
  });

  it('a choice that needs no pass of its own takes no time', () => {
    const times = new PassTimes(counting());
    const { engine } = times;
    const cache = engine.newCache();
    const sampler = times.record(() => 1);
    engine.forward({ ids: [[1, 2, 3]], wanted: [0, 1, 2], drafts: true }, cache);
    sampler(new Float32Array(1), []);
    sampler(new Float32Array(1), []);
    expect(times.steps[0]).toBeGreaterThan(0);
    expect(times.steps[1]).toBe(0);
  });

  it('asks for no attention: the run is as any other', async () => {
    const asked: (keyof Pass)[] = [];
    const spied = counting();
    const spy = withForward(spied, (pass, cache) => {
      asked.push(...(Object.keys(pass) as (keyof Pass)[]));
      return spied.forward(pass, cache);
    });
    const times = new PassTimes(spy);
    await run(times.engine, [1, 2], { maxTokens: 4 }, times.record(greedy()));
    expect(new Set(asked)).toEqual(new Set(['ids', 'wanted', 'drafts']));
  });
});

describe('rerun', () => {
  it('runs all ids in chunks, gives the logits behind each in order, and frees its cache', async () => {
    const engine = counting();
    const ids = Array.from({ length: 300 }, (_, i) => i % 100);
    const likeliest: number[] = [];
    const onLogits = (logits: Float32Array) => likeliest.push(logits.indexOf(9));
    expect(await rerun(engine, ids, { ...quiet, onLogits })).toBe(true);
    expect(engine.calls.map((call) => call.ids.length)).toEqual([256, 44]);
    expect(likeliest).toEqual(ids.map((id) => id + 1));
    expect(engine.caches.map(({ disposed }) => disposed)).toEqual([1]);
  });

  it('ends when the signal aborts', async () => {
    const engine = counting();
    expect(await rerun(engine, [1, 2], { ...quiet, signal: AbortSignal.abort() })).toBe(false);
    expect([engine.calls, engine.caches.map(({ disposed }) => disposed)]).toEqual([[], [1]]);
  });
});

describe('uncachedTimes', () => {
  const ids = [1, 2, 3, 4, 5, 6, 7];

  it('a pass with no cache over all ids before each token', async () => {
    const engine = counting();
    const times = await uncachedTimes(engine, ids, 3, { ...quiet, mostIds: 256, budgetMs: 1e9 });
    expect(times.length).toBe(4);
    expect(engine.calls.map((call) => [call.ids.length, call.past])).toEqual(
      [3, 3, 4, 5, 6].map((length) => [length, null]), // the first is not timed
    );
  });

  it('as far as the positions, the time and the person allow', async () => {
    const count = async (options: object) =>
      (await uncachedTimes(counting(), ids, 3, { ...quiet, mostIds: 256, budgetMs: 1e9, ...options })).length;
    expect(await count({ mostIds: 4 })).toBe(2);
    expect(await count({ mostIds: 2 })).toBe(0);
    expect(await count({ budgetMs: -1 })).toBe(0);
    expect(await count({ signal: AbortSignal.abort() })).toBe(0);
  });
});
