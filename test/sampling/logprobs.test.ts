// Log-probabilities of logits whose softmax is known by heart.

import { describe, expect, it } from 'vitest';
import { tokenLogprob } from '../../src/sampling/logprobs.js';

const of = (...probabilities: number[]) => Float32Array.from(probabilities, (p) => Math.log(p) + 3);

describe('tokenLogprob', () => {
  it('is the logarithm of the softmax, whatever is added to all logits', () => {
    const { logprob, top } = tokenLogprob(of(0.1, 0.6, 0.3), 2, 0);
    expect(logprob).toBeCloseTo(Math.log(0.3), 6);
    expect(top).toBeUndefined();
  });

  it('names the likeliest, best first, the lower id on ties, and no more than there are', () => {
    const { top } = tokenLogprob(of(0.2, 0.5, 0.2, 0.1), 0, 9);
    expect(top?.map(({ id }) => id)).toEqual([1, 0, 2, 3]);
    for (const [i, p] of [0.5, 0.2, 0.2, 0.1].entries()) {
      expect(top?.[i]?.logprob).toBeCloseTo(Math.log(p), 6);
    }
  });

  it('of logits far apart is finite and not rounded away', () => {
    expect(tokenLogprob(Float32Array.of(0, -1000), 1, 0).logprob).toBe(-1000);
    expect(tokenLogprob(Float32Array.of(1e4, 1e4), 0, 0).logprob).toBeCloseTo(-Math.LN2, 6);
  });
});
