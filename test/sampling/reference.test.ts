// The sampler against a plain one that sorts everything: the same id for the same draw, whatever the logits.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exp } from '../../src/exp.js';
import { uniform } from '../../src/sampling/random.js';
import { makeSampler, type SamplingOptions } from '../../src/sampling/sampler.js';
import { PLAIN } from '../support/run.js';

const SEED = 11;

/** Filters with one sort by score, then id. Returns the function that draws. */
function plainSampler(logits: ArrayLike<number>, options: SamplingOptions): (random: number) => number {
  const { temperature, topK, topP, minP } = options;
  const score = (id: number) => logits[id] as number;
  const inOrder = Array.from({ length: logits.length }, (_, id) => id);
  const ranked = [...inOrder].sort((a, b) => (score(a) === score(b) ? a - b : score(a) < score(b) ? 1 : -1));
  const max = score(ranked[0] as number);
  const weight = (id: number) => exp(score(id) - max);
  const sum = (ids: readonly number[]) => ids.reduce((total, id) => total + weight(id), 0);
  const limited = topK > 0 && topK < logits.length;
  let kept = limited ? ranked.slice(0, topK) : ranked;
  if (topP < 1) {
    const goal = topP * sum(limited ? kept : inOrder);
    let reached = 0;
    kept = kept.filter((id) => {
      const isNeeded = reached < goal;
      reached += weight(id);
      return isNeeded;
    });
  }
  kept = kept.filter((id) => minP === 0 || weight(id) >= minP).sort((a, b) => a - b);
  const weights = kept.map((id) => exp((score(id) - max) / temperature));
  const total = weights.reduce((all, w) => all + w, 0);
  return (random) => {
    let reached = 0;
    const drawn = weights.findIndex((w) => {
      reached += w;
      return reached > random * total;
    });
    return kept[drawn] as number;
  };
}

function expectSame(logits: Float32Array, options: Partial<SamplingOptions>, draws: number): void {
  const all = { ...PLAIN, ...options };
  const sampler = makeSampler(all, SEED);
  const plain = plainSampler(logits, all);
  for (let n = 0; n < draws; n++) {
    expect(sampler(logits, [])).toBe(plain(uniform(SEED, n)));
  }
}

const share = fc.constantFrom(0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.999, 1);
const settings = fc.record({
  temperature: fc.constantFrom(0.5, 0.8, 1, 3),
  topK: fc.constantFrom(0, 1, 2, 5, 40, 1000),
  topP: share,
  minP: fc.constantFrom(0, 0.05, 0.5, 1),
});
/** Few different ones, so that many are equal, or any at all; the first is a number, so that not all are banned. */
const manyLogits = (one: fc.Arbitrary<number>) =>
  fc.array(one, { maxLength: 300 }).map((rest) => Float32Array.of(0.25, ...rest));

describe('the same id as with a full sort', () => {
  it.each([
    ['many equal logits', fc.oneof(fc.integer({ min: -3, max: 3 }), fc.constant(Number.NEGATIVE_INFINITY))],
    ['any logits', fc.float({ min: -50, max: 50, noNaN: true })],
    ['logits that are almost equal', fc.integer({ min: 0, max: 9 }).map((n) => 0.25 + n * 2 ** -24)],
  ])('%s', (_, one) => {
    fc.assert(fc.property(manyLogits(one), settings, (logits, options) => expectSame(logits, options, 5)));
  });

  it.each<[string, (i: number) => number]>([
    ['flat', (i) => uniform(1, i) / 10],
    ['peaked', (i) => -14 * uniform(1, i) ** 0.2],
    ['steep', (i) => -i / 7],
    ['rising', (i) => i / 700],
    ['equal', () => 1.5],
    ['of two heights', (i) => (i % 3 === 0 ? 1 : -1)],
  ])('over a large vocabulary, logits %s', (_, logit) => {
    const logits = Float32Array.from({ length: 5003 }, (__, i) => logit(i));
    for (const topP of [0.01, 0.5, 0.95, 0.9999]) {
      expectSame(logits, { topP, temperature: 0.8 }, 20);
    }
    expectSame(logits, { topK: 40, topP: 0.95, temperature: 0.8 }, 20);
    expectSame(logits, { topK: 3000 }, 20);
  });

  it('where the weights reach p exactly', () => {
    const equal = new Float32Array(1000);
    for (const topP of [0.001, 0.25, 0.5, 0.75]) {
      expectSame(equal, { topP }, 50);
    }
  });

  it('where p is what so many of them have together, and rounding decides', () => {
    for (let count = 1; count < 300; count++) {
      const logits = Float32Array.from({ length: 300 }, (_, i) => uniform(count, i));
      const ranked = [...logits].sort((a, b) => b - a);
      const sum = (all: readonly number[]) =>
        all.reduce((total, logit) => total + exp(logit - (ranked[0] as number)), 0);
      expectSame(logits, { topP: sum(ranked.slice(0, count)) / sum([...logits]) }, 3);
    }
  });

  it('with penalties, which make the scores float64', () => {
    const logits = Float32Array.from({ length: 2000 }, (_, i) => uniform(2, i));
    const seen = [1, 5, 9, 9, 1999];
    const options = { ...PLAIN, topP: 0.6, presencePenalty: 0.1 };
    const scores = Float64Array.from(logits, (logit, id) => (seen.includes(id) ? logit - 0.1 : logit));
    const sampler = makeSampler(options, SEED);
    const plain = plainSampler(scores, options);
    for (let n = 0; n < 50; n++) {
      expect(sampler(logits, seen)).toBe(plain(uniform(SEED, n)));
    }
  });
});
