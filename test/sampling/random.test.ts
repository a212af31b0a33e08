import { describe, expect, it } from 'vitest';
import { philox4x32, uniform } from '../../src/sampling/random.js';

const MAX_SEED = 2 ** 53 - 1;

describe('philox4x32', () => {
  it.each([
    { counter: [0, 0, 0, 0], key: [0, 0], words: [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8] },
    {
      counter: [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      key: [0xffffffff, 0xffffffff],
      words: [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    },
    {
      counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      key: [0xa4093822, 0x299f31d0],
      words: [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    },
  ])('gives the known answers of Random123 for counter $counter', ({ counter, key, words }) => {
    expect(philox4x32(counter as [number, number, number, number], key as [number, number])).toEqual(words);
  });
});

describe('uniform', () => {
  it('is made of the upper 27 bits of the first word and the upper 26 of the second', () => {
    expect(uniform(0, 0)).toBe(Number((0x6627e8d5n >> 5n) * 2n ** 26n + (0xe169c58dn >> 6n)) / 2 ** 53);
  });

  it('is frozen', () => {
    const draws = [
      [0, 0],
      [0, 1],
      [7, 0],
      [MAX_SEED, 0],
      [MAX_SEED, 12345],
      [1, 2 ** 32],
    ].map(([seed, n]) => uniform(seed as number, n as number));
    expect(draws).toMatchInlineSnapshot(`
      [
        0.39904647231489565,
        0.9722412032044762,
        0.9545971285563127,
        0.3229007986588057,
        0.3698746136393667,
        0.5126948813663814,
      ]
    `);
  });

  it('depends on every bit of the seed and of n', () => {
    const bits = Array.from({ length: 53 }, (_, bit) => 2 ** bit);
    expect(new Set([0, ...bits].map((seed) => uniform(seed, 3))).size).toBe(54);
    expect(new Set([0, ...bits].map((n) => uniform(3, n))).size).toBe(54);
    expect(uniform(MAX_SEED, 0)).not.toBe(uniform(MAX_SEED - 1, 0));
  });

  it('is spread evenly over [0, 1)', () => {
    const buckets = new Array<number>(10).fill(0);
    for (let n = 0; n < 10_000; n++) {
      const bucket = Math.floor(uniform(0, n) * 10);
      buckets[bucket] = (buckets[bucket] ?? 0) + 1;
    }
    expect(buckets).toHaveLength(10);
    for (const count of buckets) {
      expect(Math.abs(count - 1000)).toBeLessThan(130); // more than 4 sigma
    }
  });
});
