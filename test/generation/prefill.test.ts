import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { prefillChunks } from '../../src/generation/prefill.js';
import type { Model } from '../../src/library/model.js';
import { distance, expectParity } from '../support/golden.js';
import { randomize, TINY, writeModel } from '../support/model-folder.js';
import { open, useBackend } from '../support/open.js';
import { forward, run } from '../support/run.js';
import { tempDirs } from '../support/temp-dir.js';

const LONG = { ...TINY, n_positions: 600 };
const ids = Array.from({ length: 599 }, (_, i) => (i * i + 3 * i) % 31);
const tempDir = tempDirs();
let model: Model;

beforeAll(async () => {
  await useBackend('node');
  model = await open(writeModel(tempDir(), { config: LONG, tensors: randomize(LONG) }));
});
afterAll(() => model.dispose());

describe('prefillChunks', () => {
  it.each([
    [1, [1]],
    [255, [255]],
    [256, [256]],
    [257, [256, 1]],
    [599, [256, 256, 87]],
  ])('%i ids', (length, sizes) => {
    const chunks = prefillChunks(ids.slice(0, length));
    expect(chunks.map((chunk) => chunk.length)).toEqual(sizes);
    expect(chunks.flat()).toEqual(ids.slice(0, length));
  });
});

describe('chunked prefill', () => {
  it.each([256, 257, 300, 513, 599])('of %i ids equals one pass', (length) => {
    const prompt = ids.slice(0, length);
    const cache = model.engine.newCache();
    const logits = prefillChunks(prompt).map((chunk) => forward(model.engine, chunk, cache));
    expect(cache.length).toBe(length);
    cache.dispose();
    expectParity(logits.at(-1) as Float32Array, forward(model.engine, prompt, null));
  });

  it('looks at the chunks before it', () => {
    const alone = forward(model.engine, ids.slice(256, 300), null);
    expect(distance(alone, forward(model.engine, ids.slice(0, 300), null))).toBeGreaterThan(0.01);
  });

  it('gives the greedy ids of one pass, and says how far it is', async () => {
    const progress: [number, number][] = [];
    const onPrefill = (done: number, total: number) => void progress.push([done, total]);
    const cached = await run(model.engine, ids.slice(0, 590), { cache: true, maxTokens: 9, onPrefill });
    expect(progress).toEqual([
      [256, 590],
      [512, 590],
      [590, 590],
    ]);
    const uncached = await run(model.engine, ids.slice(0, 590), { cache: false, maxTokens: 9, onPrefill });
    expect(progress.slice(3)).toEqual([[590, 590]]);
    expect(cached.ids).toEqual(uncached.ids);
    expect(cached.reason).toBe('length');
  });

  it('after a reprefill too: cached and uncached go on alike', async () => {
    const options = { nCtx: 300, maxTokens: 60, onFull: 'reprefill' as const };
    const cached = await run(model.engine, ids.slice(0, 280), { ...options, cache: true });
    const uncached = await run(model.engine, ids.slice(0, 280), { ...options, cache: false });
    expect(cached.ids).toEqual(uncached.ids);
    expect([cached.ids.length, cached.reason]).toEqual([60, 'length']);
    // the id after 300: what one pass over a head of 75 and a tail of 150 gives
    const all = [...ids.slice(0, 280), ...cached.ids.slice(0, 20)];
    const logits = forward(model.engine, [...all.slice(0, 75), ...all.slice(-150)], null);
    expect(cached.ids[20]).toBe(logits.indexOf(Math.max(...logits)));
    expect(cached.stats.cachePositions).toBe(75 + 150 + 39);
  });

  it('is what model.logits does too', () => {
    expectParity(model.logits(ids, { cache: true }), model.logits(ids, { cache: false }));
  });
});
