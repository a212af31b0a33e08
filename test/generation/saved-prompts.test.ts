// Saved prompts with a real model on the cpu backend: what is reused and what is computed make up the prompt, and the
// logits and greedy ids are those of a run that knew nothing.

import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import { type RowsDtype, sliceRows } from '../../src/engine/kv-rows.js';
import { SavedPrompts } from '../../src/generation/saved-prompts.js';
import type { Model } from '../../src/library/model.js';
import { PromptStore } from '../../src/store/prompts.js';
import { StoreFolder } from '../../src/store/store-folder.js';
import { expectParity } from '../support/golden.js';
import { randomTensors, TINY } from '../support/model-folder.js';
import { open, useBackend } from '../support/open.js';
import { forward, greedy, type RunResult, run } from '../support/run.js';
import { writeSafetensors } from '../support/safetensors.js';
import { tempDirs } from '../support/temp-dir.js';

const newDir = tempDirs();
const range = (length: number, from = 0) => Array.from({ length }, (_, i) => (from + i) % TINY.vocab_size);
const STEPS = 3;
let model: Model;
let engine: Engine;

beforeAll(async () => {
  await useBackend('cpu');
  model = await open(writeLonger(newDir()));
  engine = model.engine;
});
afterAll(() => model.dispose());

/** The TINY model with a context of 120. */
function writeLonger(dir: string): string {
  const config = { ...TINY, n_positions: 120 };
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
  writeSafetensors(join(dir, 'model.safetensors'), randomTensors(config));
  return dir;
}

function saved(folder: string, fingerprint = 'f', dtype: RowsDtype = 'float32') {
  const limits = { maxBytes: 1e9, maxAgeMs: 1e12 };
  const shape = engine.config;
  const store = new PromptStore({
    folder: new StoreFolder(folder),
    write: true,
    limits,
    fingerprint,
    dtype,
    shape,
    model: 'tiny',
    onNote: () => {},
  });
  return new SavedPrompts(engine, store, 'words', true);
}

interface Run extends RunResult {
  /** Of every step, the first one behind the prompt. */
  readonly logits: Float32Array[];
}

/** A greedy run; its logits as the sampler saw them. */
async function generate(ids: readonly number[], promptCache?: SavedPrompts): Promise<Run> {
  const logits: Float32Array[] = [];
  const inner = greedy();
  const sampler = (next: Float32Array, all: readonly number[]) => {
    logits.push(next);
    return inner(next, all);
  };
  return { ...(await run(engine, ids, { maxTokens: STEPS, promptCache }, sampler)), logits };
}

/** How many reused tokens; everything else must be as without. */
async function expectSame(ids: readonly number[], prompts: SavedPrompts): Promise<number> {
  const before = engine.numTensors();
  const [plain, cached] = [await generate(ids), await generate(ids, prompts)];
  expect(engine.numTensors()).toBe(before);
  expect(cached.ids).toEqual(plain.ids);
  for (const [step, expected] of plain.logits.entries()) {
    expectParity(cached.logits[step] as Float32Array, expected);
  }
  expect(cached.stats.cachePositions).toBe(ids.length + STEPS - 1);
  return cached.stats.reusedTokens;
}

describe('a saved prompt', () => {
  it('again needs no forward pass for its first token, and starts from the same logits', async () => {
    const folder = newDir();
    const ids = range(70);
    expect(await expectSame(ids, saved(folder))).toBe(0);
    const again = saved(folder);
    expect(await expectSame(ids, again)).toBe(70);
    expect(again.report).toMatchObject({ missReason: null, firstDifference: null });
    const [first, second] = [await generate(ids), await generate(ids, saved(folder))];
    expect(second.logits[0]).toEqual(first.logits[0]);
  });

  it('is the beginning of another', async () => {
    const folder = newDir();
    await generate(range(70), saved(folder));
    const other = saved(folder);
    expect(await expectSame([...range(50), 3, 3, 3], other)).toBe(50);
    expect(other.report).toMatchObject({ missReason: null, firstDifference: { index: 50, stored: 18, new: 3 } });
    expect(await expectSame([...range(50), 3, 3, 3], saved(folder))).toBe(53);
  });

  it('of one token, and a prompt that fills the context but for one token', async () => {
    for (const length of [1, 2, 31, 32, 33, 117]) {
      const folder = newDir();
      await generate(range(length), saved(folder));
      expect(await expectSame(range(length), saved(folder))).toBe(length);
    }
  });

  it('of another model is not used', async () => {
    const folder = newDir();
    await generate(range(40), saved(folder, 'a'));
    const other = saved(folder, 'b');
    expect(await expectSame(range(40), other)).toBe(0);
    expect(other.report).toMatchObject({ missReason: expect.any(String), savedMs: 0 });
  });

  it('damaged: the same text all the same', async () => {
    const folder = newDir();
    const ids = range(40);
    await generate(ids, saved(folder));
    for (const file of readdirSync(folder)) {
      const bytes = readFileSync(join(folder, file));
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
      writeFileSync(join(folder, file), bytes);
    }
    expect(await expectSame(ids, saved(folder))).toBe(0); // the block is found damaged, and stored anew
    expect(await expectSame(ids, saved(folder))).toBe(32); // then the end
    expect(await expectSame(ids, saved(folder))).toBe(40);
  });

  it('property: reused + computed = all, the same logits and greedy ids', async () => {
    const prompt = fc
      .tuple(fc.integer({ min: 0, max: 75 }), fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 35 }))
      .map(([shared, own]) => [...range(shared), ...own]);
    await fc.assert(
      fc.asyncProperty(fc.array(prompt, { minLength: 1, maxLength: 4 }), async (prompts) => {
        const folder = newDir();
        const seen: number[][] = [];
        for (const ids of prompts) {
          const reused = await expectSame(ids, saved(folder));
          const exact = seen.some((one) => one.join() === ids.join());
          const common = seen.map(
            (one) => (one.findIndex((id, i) => id !== ids[i]) + one.length + 1) % (one.length + 1),
          );
          expect(reused).toBe(Math.min(Math.max(0, ...common), exact ? ids.length : ids.length - 1));
          seen.push(ids);
        }
        rmSync(folder, { recursive: true });
      }),
      { numRuns: 12, seed: 3 },
    );
  });
});

describe('positions of a cache', () => {
  it('come out and go back in, over both segments', () => {
    const cache = engine.newCache();
    for (const chunk of [range(60), range(40), range(5)]) {
      forward(engine, chunk, cache);
    }
    const before = engine.numTensors();
    const whole = cache.export(0, 105);
    expect(whole).toMatchObject({ length: 105, nKvHead: TINY.n_head, headDim: TINY.n_embd / TINY.n_head });
    const copy = engine.newCache(whole);
    expect(copy.length).toBe(105);
    expect(copy.export(0, 105)).toEqual(whole);
    const part = cache.export(58, 101);
    expect(part).toEqual(sliceRows(whole, 58, 101));
    expect(part.layers[1]?.v.length).toBe(43 * TINY.n_embd);
    expectParity(forward(engine, [9], copy), forward(engine, [9], cache));
    copy.dispose();
    cache.truncate(105);
    expect(engine.newCache(cache.export(0, 0)).length).toBe(0);
    expect(engine.newCache({ length: 0, nKvHead: 0, headDim: 0, layers: [] }).length).toBe(0);
    expect(() => cache.export(100, 106)).toThrow(RangeError);
    cache.dispose();
    expect(engine.numTensors()).toBeLessThan(before);
  });
});
