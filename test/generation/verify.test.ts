// Cached against uncached, on an engine whose cache may lie.

import { describe, expect, it } from 'vitest';
import type { Pass } from '../../src/engine/engine.js';
import type { KvCache } from '../../src/engine/kv-cache.js';
import type { RowsDtype } from '../../src/engine/kv-rows.js';
import type { DraftedText } from '../../src/generation/drafts.js';
import { CacheVerifier } from '../../src/generation/verify.js';
import { MockEngine } from '../support/mock-engine.js';
import { greedy, run } from '../support/run.js';

const never = new AbortController().signal;

/** Logits of 10, 9 and 8 for three ids, the same whatever came before. */
class LyingEngine extends MockEngine {
  readonly #error: number;

  /** @param error added to the second id's logit wherever there is a cache with something in it */
  constructor(error: number, shape = {}) {
    super(() => [10, 9, 8, ...Array.from({ length: 253 }, () => 0)], shape);
    this.#error = error;
  }

  override forward(pass: Pass, cache: KvCache | null): Float32Array[] {
    const lies = cache !== null && cache.length > 0;
    const all = super.forward(pass, cache);
    for (const logits of all) {
      logits[1] = (logits[1] as number) + (lies ? this.#error : 0);
    }
    return all;
  }
}

async function verify(engine: MockEngine, options = {}, restoredAs?: RowsDtype) {
  const verifier = new CacheVerifier(engine, [1, 2, 3]);
  const result = await run(verifier.engine, [1, 2, 3], { maxTokens: 4, ...options }, verifier.record(greedy()));
  const before = engine.calls.length;
  const report = await verifier.compare(() => {}, never, restoredAs);
  return { result, report, calls: engine.calls.slice(before) };
}

describe('verification', () => {
  it('runs the ids of each step anew, without a cache', async () => {
    const { result, report, calls } = await verify(MockEngine.script((ids) => 100 + ids.length));
    expect(result.ids).toEqual([103, 104, 105, 106]);
    expect(calls).toEqual([
      { ids: [1, 2, 3], past: null },
      { ids: [1, 2, 3, 103], past: null },
      { ids: [1, 2, 3, 103, 104], past: null },
      { ids: [1, 2, 3, 103, 104, 105], past: null },
    ]);
    expect(report).toEqual({
      steps: 4,
      maxAbsDiff: 0,
      meanAbsDiff: 0,
      maxAbsLogit: 100,
      restoredAs: null,
      firstDifference: null,
      ok: true,
    });
  });

  it('sees the window that is left after a reprefill', async () => {
    const engine = MockEngine.script((ids) => ids.length, { nPositions: 8 });
    const { report, calls } = await verify(engine, { maxTokens: 12, onFull: 'reprefill' });
    expect(report).toMatchObject({ steps: 12, ok: true });
    expect(Math.max(...calls.map(({ ids }) => ids.length))).toBeLessThanOrEqual(8);
  });

  it('sees for each token of a draft what came before it, also behind a prompt with all its logits', async () => {
    const right = (n: number) => (n % 9 === 0 ? 7 : 100 + n); // wrong now and then
    const drafter = () => ({
      chances: [0.9],
      share: 0,
      guess: ({ ids }: DraftedText, most: number) => ({
        ids: Array.from({ length: most }, (_, i) => right(ids.length + i)),
        kinds: Array<number>(most).fill(0),
      }),
      dispose: () => {},
    });
    const engine = MockEngine.script((ids) => 100 + ids.length);
    const options = { maxTokens: 20, draft: { most: 4, drafter }, onPromptLogits: () => {} };
    const { report, calls, result } = await verify(engine, options);
    expect(calls.map(({ ids }) => ids)).toEqual(
      Array.from({ length: 20 }, (_, i) => [1, 2, 3, ...result.ids.slice(0, i)]),
    );
    expect(report).toMatchObject({ steps: 20, maxAbsDiff: 0, ok: true });
    expect(result.stats.drafts?.accepted).toBeGreaterThan(8);
  });

  it('takes rounding for rounding', async () => {
    const { report } = await verify(new LyingEngine(0.009));
    expect(report).toMatchObject({ steps: 4, firstDifference: null, ok: true });
    expect(report?.maxAbsDiff).toBeCloseTo(0.009, 5);
    expect(report?.meanAbsDiff).toBeCloseTo((3 * 0.009) / (4 * 256), 7);
  });

  it('fails beyond a thousandth of the largest logit', async () => {
    expect((await verify(new LyingEngine(0.011))).report).toMatchObject({ firstDifference: null, ok: false });
  });

  it('of a beginning in float16 fails beyond a hundredth; in float32 as without one', async () => {
    const ok = async (error: number, restoredAs: RowsDtype) =>
      (await verify(new LyingEngine(error), {}, restoredAs)).report?.ok;
    expect([await ok(0.09, 'float16'), await ok(0.11, 'float16')]).toEqual([true, false]);
    expect([await ok(0.009, 'float32'), await ok(0.011, 'float32')]).toEqual([true, false]);
  });

  it('names the first step at which another token is the likeliest, and how far the two are apart', async () => {
    expect((await verify(new LyingEngine(1.5))).report).toMatchObject({
      firstDifference: { step: 1, cached: 1, uncached: 0, gap: 1 },
      maxAbsDiff: 1.5,
      ok: false,
    });
  });

  it('fails on what is not a number', async () => {
    const verifier = new CacheVerifier(new LyingEngine(Number.NaN), [1]);
    await run(
      verifier.engine,
      [1],
      { maxTokens: 2 },
      verifier.record(() => 0),
    );
    expect((await verifier.compare(() => {}, never))?.ok).toBe(false);
  });

  it('gives up when it is aborted', async () => {
    const verifier = new CacheVerifier(new LyingEngine(0), [1]);
    await run(verifier.engine, [1], { maxTokens: 2 }, verifier.record(greedy()));
    expect(await verifier.compare(() => {}, AbortSignal.abort())).toBeNull();
  });
});
