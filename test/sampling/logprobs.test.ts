// Log-probabilities of logits whose softmax is known by heart.

import { describe, expect, it } from 'vitest';
import { KvgenError } from '../../src/errors.js';
import { logprobOf, tokenLogprob } from '../../src/sampling/logprobs.js';

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

  it.each([
    [[0, Number.NaN], 'NaN at id 1'],
    [[Number.POSITIVE_INFINITY, 0], 'Infinity at id 0'],
    [[Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY], '-Infinity everywhere, first at id 0'],
  ])('of the logits %j there is none', (logits, what) => {
    const message = `the model's logits are not numbers (${what}); the weights are probably damaged`;
    for (const k of [0, 2]) {
      expect(() => tokenLogprob(Float32Array.from(logits), 0, k)).toThrow(new KvgenError(message));
    }
    expect(() => logprobOf(Float32Array.from(logits), 0)).toThrow(new KvgenError(message));
  });

  it('of logits far apart is finite and not rounded away', () => {
    expect(tokenLogprob(Float32Array.of(0, -1000), 1, 0).logprob).toBe(-1000);
    expect(tokenLogprob(Float32Array.of(1e4, 1e4), 0, 0).logprob).toBeCloseTo(-Math.LN2, 6);
  });
});
