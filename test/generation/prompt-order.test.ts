// The order in which prompts share most, against what is known by counting; and the number of reused tokens, against the
// pool itself with a model's loop.

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { prefillPrompt } from '../../src/generation/prefill.js';
import { bestOrder, inThatOrder, type PlannedPrompt, ReusedTokens } from '../../src/generation/prompt-order.js';
import { PromptPool } from '../../src/generation/prompt-pool.js';
import { PromptTree } from '../../src/generation/prompt-tree.js';
import { Sequence } from '../../src/generation/sequence.js';
import type { ModelConfig } from '../../src/model/config.js';
import { MockEngine } from '../support/mock-engine.js';
import { optionsFor } from '../support/run.js';

const { signal } = new AbortController();
const engine = new MockEngine(() => new Float32Array(256));
const { config } = engine;
/** 2,000 positions take all the memory there is for prompts. */
const large: ModelConfig = { ...config, nLayer: 64, nKvHead: 64, headDim: 4 };

const plan = (ids: readonly number[], more: Partial<PlannedPrompt> = {}): PlannedPrompt => ({
  ids,
  reuses: true,
  isKept: true,
  onDisk: 0,
  ...more,
});
/** How many tokens of these prompts, run in their order, need not be run. */
async function reusedTokens(
  all: readonly PlannedPrompt[],
  { model = config, staysOnDisk = false } = {},
): Promise<number> {
  const reused = new ReusedTokens(model, staysOnDisk);
  await reused.run(all, signal);
  return reused.total;
}
const common = (a: readonly number[], b: readonly number[]) => {
  const differs = a.findIndex((id, i) => id !== b[i]);
  return differs < 0 ? a.length : differs;
};
const prompts = fc.array(fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 7 }), {
  minLength: 1,
  maxLength: 14,
});

/** What a loop reuses that runs the prompts one after the other. */
async function ranReused(all: readonly PlannedPrompt[]): Promise<number> {
  const pool = new PromptPool(config);
  let reused = 0;
  for (const { ids, reuses, isKept } of all) {
    const onPromptLogits = reuses ? undefined : () => {};
    const options = optionsFor(engine, { cache: isKept, promptCache: pool.in(undefined), onPromptLogits });
    const sequence = new Sequence(config, ids, options);
    const { cache } = await prefillPrompt(engine, sequence);
    cache?.dispose();
    reused += sequence.stats.reusedTokens;
  }
  pool.dispose();
  return reused;
}

describe('the tree of prompts', () => {
  it('says what a prompt has in common with any before it', () => {
    fc.assert(
      fc.property(prompts, (all) => {
        const tree = new PromptTree();
        for (const [i, ids] of all.entries()) {
          const before = all.slice(0, i);
          expect(tree.add(ids)).toEqual({
            common: Math.max(0, ...before.map((one) => common(ids, one))),
            isSame: before.some((one) => one.join() === ids.join()),
          });
        }
      }),
    );
  });

  it('puts a prompt before those that go on from it, and branches in the order of their first prompts', () => {
    const tree = new PromptTree();
    for (const ids of [[5, 1], [7, 7, 7, 1], [5], [7, 7, 8], [5, 1, 2], [7, 7, 7, 1], [5, 0]]) {
      tree.add(ids);
    }
    expect(tree.order()).toEqual([2, 0, 4, 6, 1, 5, 3]);
  });
});

describe('the best order', () => {
  it('computes each beginning once: no order reuses more', async () => {
    await fc.assert(
      fc.asyncProperty(prompts, async (all) => {
        const planned = all.map((ids) => plan(ids));
        const order = await bestOrder(planned, { config, signal });
        expect([...order].sort((a, b) => a - b)).toEqual(all.map((_, i) => i));
        const ordered = inThatOrder(planned, order);
        const beginnings = new Set(all.flatMap((ids) => ids.map((_, i) => ids.slice(0, i + 1).join())));
        const tokens = all.reduce((sum, { length }) => sum + length, 0);
        expect(await reusedTokens(ordered)).toBe(tokens - beginnings.size);
      }),
    );
  });

  it('keeps the order that there is where none is better', async () => {
    const all = [[3, 1], [2], [3, 2], [1]].map((ids) => plan(ids));
    expect(await bestOrder(all, { config, signal })).toEqual([0, 1, 2, 3]);
    const longFirst = [plan([1, 1, 1], { reuses: false }), plan([1, 1])];
    expect(await bestOrder(longFirst, { config, signal })).toEqual([0, 1]);
  });

  it('is better where the memory of the pool is too small for the order that there is', async () => {
    const long = (id: number) => Array(1500).fill(id);
    const all = [1, 2, 1, 2].map((id) => plan(long(id)));
    const reused = (ordered: readonly PlannedPrompt[]) => reusedTokens(ordered, { model: large });
    expect(await reused(all)).toBe(0);
    const order = await bestOrder(all, { config: large, signal });
    expect(order).toEqual([0, 2, 1, 3]);
    expect(await reused(inThatOrder(all, order))).toBe(3000);
  });

  it('ends at once when it is aborted', async () => {
    const all = Array.from({ length: 4000 }, (_, i) => plan(Array.from({ length: 200 }, (_, j) => i + j)));
    await expect(bestOrder(all, { config, signal: AbortSignal.abort() })).rejects.toThrow('abort');
  });
});

describe('the number of reused tokens', () => {
  it('is what the loop reuses', async () => {
    const planned = fc
      .tuple(fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 1, maxLength: 6 }), fc.integer({ min: 0, max: 5 }))
      .map(([ids, kind]) => plan(ids, { reuses: kind > 1, isKept: kind > 0 }));
    await fc.assert(
      fc.asyncProperty(fc.array(planned, { maxLength: 12 }), async (all) => {
        expect(await reusedTokens(all)).toBe(await ranReused(all));
      }),
    );
  });

  it('counts what the disk knows, and what it will know', async () => {
    const all = [
      plan([1, 2, 3], { onDisk: 2 }),
      plan([4, 5], { onDisk: 2 }),
      plan([1, 2, 9]),
      plan([9], { reuses: false }),
    ];
    expect(await reusedTokens(all)).toBe(2 + 2 + 2);
    const long = [1, 2, 1].map((id) => plan(Array(1500).fill(id)));
    expect(await reusedTokens(long, { model: large })).toBe(0);
    expect(await reusedTokens(long, { model: large, staysOnDisk: true })).toBe(1500);
  });
});
