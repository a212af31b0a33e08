// A second model as the drafter, on engines that follow scripts.

import { describe, expect, it } from 'vitest';
import { DraftModel } from '../../src/generation/draft-model.js';
import type { DraftOptions } from '../../src/generation/drafts.js';
import { makeSampler } from '../../src/sampling/sampler.js';
import { MockEngine } from '../support/mock-engine.js';
import { greedy, PLAIN, run } from '../support/run.js';

const SHAPE = { nPositions: 400 };
/** After n ids in all comes id n mod 200. */
const script = (ids: readonly number[]) => ids.length % 200;
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

/** The engine as one that costs nothing to speak of. */
function cheap(engine: MockEngine, most = 4): DraftOptions {
  return { most, drafter: () => new DraftModel(engine, Number.POSITIVE_INFINITY) };
}

const guess = (drafter: DraftModel, ids: readonly number[], most: number) =>
  drafter.guess({ ids: [], window: ids }, most).ids;

describe('what it runs', () => {
  it('is what it has not seen yet, and its guesses but for the last', () => {
    const engine = MockEngine.script(script, SHAPE);
    const drafter = new DraftModel(engine, 1);
    expect(guess(drafter, [0, 1, 2], 3)).toEqual([3, 4, 5]);
    expect(guess(drafter, [0, 1, 2, 3, 4, 5, 6], 2)).toEqual([7, 8]); // all were right
    expect(guess(drafter, [0, 1, 2, 3, 4, 5, 6, 99], 1)).toEqual([8]); // it was wrong in one
    expect(guess(drafter, [0, 1, 2, 3, 4, 5, 6, 99], 1)).toEqual([8]);
    expect(engine.calls).toEqual([
      { ids: [0, 1, 2], past: [] },
      { ids: [3], past: [0, 1, 2] },
      { ids: [4], past: [0, 1, 2, 3] },
      { ids: [5, 6], past: [0, 1, 2, 3, 4] },
      { ids: [7], past: [0, 1, 2, 3, 4, 5, 6] },
      { ids: [99], past: [0, 1, 2, 3, 4, 5, 6] },
      { ids: [99], past: [0, 1, 2, 3, 4, 5, 6] },
    ]);
    drafter.dispose();
    expect(engine.caches[0]?.disposed).toBe(1);
  });

  it('is the window where the sequence was shortened', () => {
    const engine = MockEngine.script(script, SHAPE);
    const drafter = new DraftModel(engine, 1);
    guess(drafter, [1, 2, 3, 4, 5, 6], 1);
    guess(drafter, [1, 2, 5, 6, 7], 1);
    expect(engine.calls.at(-1)).toEqual({ ids: [5, 6, 7], past: [1, 2] });
  });

  it('is one chunk of a long text in each call, without a guess', () => {
    const engine = MockEngine.script(script, { nPositions: 800 });
    const drafter = new DraftModel(engine, 1);
    const text = range(0, 600).map((id) => id % 200);
    expect([1, 2, 3, 4].map(() => guess(drafter, text, 1))).toEqual([[], [], [], [0]]);
    expect(engine.calls.map(({ ids }) => ids.length)).toEqual([256, 256, 88, 1]);
  });

  it('never goes beyond its own context', () => {
    const engine = MockEngine.script(script, { nPositions: 10 }); // it throws beyond
    const drafter = new DraftModel(engine, 1);
    const guessed = [8, 9, 10, 11, 30].map((length) => guess(drafter, range(0, length), 4));
    expect(guessed).toEqual([[8, 9, 10], [9, 10], [10], [], []]);
  });
});

describe('its guesses', () => {
  it('are all right where it is the same model and the likeliest id is taken', async () => {
    const draft = MockEngine.script(script, SHAPE);
    const { ids, stats } = await run(
      MockEngine.script(script, SHAPE),
      [1, 2, 3],
      { maxTokens: 101, draft: cheap(draft) },
      greedy(),
    );
    expect(ids).toEqual(range(3, 104));
    const { drafted, accepted, passes } = stats.drafts ?? expect.unreachable('no drafts');
    expect(accepted).toBe(drafted);
    expect(passes + accepted).toBe(100);
    expect(passes).toBeLessThan(30);
    expect(draft.caches[0]?.disposed).toBe(1);
  });

  it.each(['stop', 'reprefill'] as const)('change nothing where it is another model: %s', async (onFull) => {
    const language = (salt: number) =>
      new MockEngine(
        (ids) =>
          range(0, 20).map((id) => ((((ids.at(-1) ?? 0) * 7 + id * 3 + salt) % 5) * 1.5) / (1 + (ids.length % 3))),
        { vocabSize: 20, nPositions: 60 },
      );
    let accepted = 0;
    for (let seed = 0; seed < 20; seed++) {
      const sampler = () => makeSampler({ ...PLAIN, temperature: seed % 2 }, seed);
      const options = { maxTokens: 90, onFull, nCtx: 40 };
      const plain = await run(language(0), [1, 2, 3], options, sampler());
      const draft = cheap(language(seed % 3), 1 + (seed % 7));
      const { ids, reason, stats } = await run(language(0), [1, 2, 3], { ...options, draft }, sampler());
      expect([ids, reason, stats.cachePositions]).toEqual([plain.ids, plain.reason, plain.stats.cachePositions]);
      accepted += stats.drafts?.accepted ?? 0;
    }
    expect(accepted).toBeGreaterThan(50);
  });
});
