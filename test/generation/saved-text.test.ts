// What was generated, kept on disk: a prompt that goes on from an answer starts behind it, and the rest is as if all of it
// had been computed from the start, on simd to the bit.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generateMany } from '../../src/generation/generate-many.js';
import { SavedPrompts } from '../../src/generation/saved-prompts.js';
import { SavedText } from '../../src/generation/saved-text.js';
import type { SequenceOptions } from '../../src/generation/sequence.js';
import type { Model } from '../../src/library/model.js';
import { makeSampler, type Sampler } from '../../src/sampling/sampler.js';
import { PromptStore } from '../../src/store/prompts.js';
import { StoreFolder } from '../../src/store/store-folder.js';
import { expectParity } from '../support/golden.js';
import { randomize, TINY, writeModel } from '../support/model-folder.js';
import { open, useBackend } from '../support/open.js';
import { optionsFor, PLAIN, type RunResult, run } from '../support/run.js';
import { tempDirs } from '../support/temp-dir.js';

const newDir = tempDirs();
const SHAPE = { ...TINY, n_positions: 150, n_embd: 30, n_head: 5 };
const range = (length: number) => Array.from({ length }, (_, i) => (7 * i + 3) % TINY.vocab_size);
const MORE = [5, 6, 7];

interface Run extends RunResult {
  /** Of each step. */
  readonly logits: Float32Array[];
}

describe.each(['simd', 'node'] as const)('%s', (backend) => {
  let model: Model;
  beforeAll(async () => {
    await useBackend('node');
    model = await open(writeModel(newDir(), { config: SHAPE, tensors: randomize(SHAPE) }), { backend, engine: 'auto' });
  });
  afterAll(() => model.dispose());

  const expectLogits = (found: Float32Array, expected: Float32Array) =>
    backend === 'simd' ? expect(found).toEqual(expected) : expectParity(found, expected);

  function promptsIn(path: string, keepsTexts = true): SavedPrompts {
    const folder = new StoreFolder(path);
    const limits = { maxBytes: 1e9, maxAgeMs: 1e12 };
    const of = { fingerprint: 'f', dtype: 'float32' as const, shape: model.config, model: 'tiny' };
    const store = new PromptStore({ folder, write: true, limits, ...of, onNote: (line) => expect.unreachable(line) });
    return new SavedPrompts(model.engine, store, 'words', keepsTexts);
  }

  const sampled = (seed: number) => makeSampler({ ...PLAIN, temperature: 1.5 }, seed, []);

  async function generate(ids: readonly number[], options: Partial<SequenceOptions>, inner = sampled(1)): Promise<Run> {
    const logits: Float32Array[] = [];
    const sampler: Sampler = (next, all) => {
      logits.push(next.slice());
      return inner(next, all);
    };
    return { ...(await run(model.engine, ids, options, sampler)), logits };
  }

  /** A prompt that goes on from a text starts behind it, and gives what it gives without. */
  async function expectContinued(folder: string, text: readonly number[]): Promise<void> {
    const ids = [...text, ...MORE];
    const plain = await generate(ids, { maxTokens: 6 });
    const again = await generate(ids, { maxTokens: 6, promptCache: new SavedText(promptsIn(folder), true) });
    expect(again.stats.reusedTokens).toBe(text.length - 1); // the last one that was generated was not run
    expect(again.ids).toEqual(plain.ids);
    for (const [step, expected] of plain.logits.entries()) {
      expectLogits(again.logits[step] as Float32Array, expected);
    }
  }

  it.each([
    [1, 2],
    [5, 29],
    [5, 28],
    [40, 57],
    [64, 70],
  ])('an answer of %i and %i tokens', async (promptTokens, maxTokens) => {
    const folder = newDir();
    const prompt = range(promptTokens);
    const before = model.engine.numTensors();
    const saved = new SavedText(promptsIn(folder), true);
    const { ids } = await generate(prompt, { maxTokens, promptCache: saved });
    const positions = promptTokens + maxTokens - 1;
    const again = positions - (promptTokens - (promptTokens % 32)); // the prompt's last ids stand before what follows them
    expect(saved.finish(true)).toBe(promptTokens + again);
    expect(model.engine.numTensors()).toBe(before);
    await expectContinued(folder, [...prompt, ...ids]);
  });

  it('an answer to a prompt that was known, and an answer to that', async () => {
    const folder = newDir();
    let text = range(20);
    for (let turn = 0; turn < 3; turn++) {
      const saved = new SavedText(promptsIn(folder), true);
      const { ids } = await generate(text, { maxTokens: 25, promptCache: saved }, sampled(turn));
      saved.finish(true);
      text = [...text, ...ids];
      await expectContinued(folder, text);
    }
  });

  it('each of several samples, decoded together and ended at different times', async () => {
    const folder = newDir();
    const prompt = range(37);
    const prompts = promptsIn(folder);
    const runs = [12, 40, 25].map((maxTokens, i) => {
      const saved: SavedText = new SavedText(prompts, i === 0);
      const options = optionsFor(model.engine, { maxTokens, promptCache: saved });
      return { promptIds: prompt, sampler: sampled(i), options, saved, ids: [] as number[] };
    });
    const waiting = [...runs];
    const source = { take: () => waiting.shift(), wait: async () => false };
    for await (const event of generateMany(model.engine, source, 3)) {
      'token' in event && event.request.ids.push(event.token.id);
      'end' in event && event.request.saved.finish(true);
    }
    expect(runs.map(({ ids }) => ids.length)).toEqual([12, 40, 25]);
    for (const { ids } of runs) {
      await expectContinued(folder, [...prompt, ...ids]);
    }
  });

  it('that is not wanted is not kept, and frees all', async () => {
    for (const [keepsTexts, isWanted, signal] of [
      [true, false, undefined],
      [false, true, undefined],
      [true, true, AbortSignal.abort()],
    ] as const) {
      const folder = newDir();
      const before = model.engine.numTensors();
      const saved = new SavedText(promptsIn(folder, keepsTexts), true, signal);
      const { ids } = await generate(range(10), { maxTokens: 9, promptCache: saved });
      expect(saved.finish(isWanted)).toBe(10);
      expect(model.engine.numTensors()).toBe(before);
      const next = await generate([...range(10), ...ids], { promptCache: new SavedText(promptsIn(folder), true) });
      expect(next.stats.reusedTokens).toBe(10);
    }
  });
});
