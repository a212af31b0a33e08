import { describe, expect, it } from 'vitest';
import { type CachedRun, originOf, passOf } from '../../src/view/cache-passes.js';

const RUN: CachedRun = {
  promptTokens: 10,
  model: { nLayer: 3 },
  prefill: [
    { from: 0, to: 4, source: 'disk', ms: 1 },
    { from: 4, to: 6, source: 'memory', ms: 0 },
    { from: 6, to: 9, source: 'computed', ms: 5 },
    { from: 9, to: 10, source: 'computed', ms: 2 },
  ],
};

describe('the passes of a run', () => {
  it('say where each position came from, computed chunks counted from 1', () => {
    const origins = [0, 5, 6, 9, 10].map((position) => originOf(RUN, position));
    expect(origins).toEqual([
      { source: 'disk', chunk: 0 },
      { source: 'memory', chunk: 0 },
      { source: 'computed', chunk: 1 },
      { source: 'computed', chunk: 2 },
      { source: 'decode', chunk: 0 },
    ]);
  });

  it('fill the prompt part by part', () => {
    expect(passOf(RUN, 2)).toMatchObject({ kind: 'prefill', filled: 4, work: { cached: 0, uncached: 12 } });
    expect(passOf(RUN, 7)).toMatchObject({ from: 6, to: 9, filled: 9, work: { cached: 9, uncached: 9 } });
    expect(passOf(RUN, 9)).toMatchObject({ filled: 10, total: { cached: 12, uncached: 30 } });
  });

  it('cost what is new with the cache, and all without', () => {
    expect(passOf(RUN, 10)).toMatchObject({
      kind: 'first',
      filled: 10,
      work: { cached: 12, uncached: 30 }, // 4 of 10 tokens were not reused
      total: { cached: 12, uncached: 30 },
    });
    expect(passOf(RUN, 13)).toMatchObject({
      kind: 'decode',
      filled: 13,
      from: 12,
      to: 13,
      work: { cached: 3, uncached: 39 },
      total: { cached: 21, uncached: 3 * (10 + 11 + 12 + 13) },
    });
  });

  it('where nothing is told of the prompt, all of it was computed', () => {
    const plain = { ...RUN, prefill: [] };
    expect(passOf(plain, 11).total).toEqual({ cached: 33, uncached: 63 });
    expect(passOf(plain, 3)).toMatchObject({ from: 0, to: 10, work: { cached: 30, uncached: 30 } });
  });
});
