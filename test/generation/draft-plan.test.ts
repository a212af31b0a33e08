// How long a draft pays, on costs that are given.

import { describe, expect, it } from 'vitest';
import { allot, PassCost } from '../../src/generation/draft-plan.js';

const costOf = (first: number, each: number) => ({ each, of: (ids: number) => first + each * ids });

/** The same, as it was measured. */
function measured(first: number, each: number): PassCost {
  const cost = new PassCost(true);
  for (let i = 0; i < 400; i++) {
    const ids = 1 + (i % 9);
    cost.add(ids, first + each * ids);
  }
  return cost;
}

const powers = (chance: number, count: number) => Array.from({ length: count }, (_, i) => chance ** (i + 1));

/** The best by trying all. */
function bestCount(chances: readonly number[], first: number, each: number): number {
  const rates = [0, ...chances].map((_, count) => {
    const tokens = 1 + chances.slice(0, count).reduce((sum, chance) => sum + chance, 0);
    return tokens / (first + each * (1 + count));
  });
  return rates.indexOf(Math.max(...rates));
}

describe('the cost of a pass', () => {
  it('is measured as a line', () => {
    const cost = measured(6, 4.75);
    expect(cost.each).toBeCloseTo(4.75, 1);
    expect(cost.of(1)).toBeCloseTo(10.75, 0);
    expect(cost.of(12)).toBeCloseTo(63, 0);
  });

  it('is assumed before, and where passes of other sizes are long ago', () => {
    const cost = new PassCost(true);
    expect([cost.isMeasured, cost.each, cost.of(1)]).toEqual([false, 0.3, 1]);
    for (let i = 0; i < 500; i++) {
      cost.add(1, 20);
    }
    expect(cost.isMeasured).toBe(true);
    expect([cost.each, cost.of(1)].map((ms) => Math.round(ms))).toEqual([6, 20]);
  });

  it('is not thrown off by a pass that was interrupted', () => {
    const cost = measured(6, 4);
    cost.add(3, 5000);
    expect(cost.of(1)).toBeLessThan(11.5);
    expect(cost.each).toBeLessThan(5);
  });

  it('of an id is never less than nothing, nor more than its share', () => {
    const falling = new PassCost(true);
    const steep = new PassCost(true);
    for (let i = 0; i < 100; i++) {
      falling.add(1 + (i % 4), 10 - (i % 4));
      steep.add(1 + (i % 4), 10 * (1 + (i % 4)) ** 2);
    }
    expect(falling.each).toBe(0);
    expect(steep.of(0)).toBeCloseTo(0, 10);
  });

  it('never depends on the clock where it must not', () => {
    const cost = new PassCost(false);
    cost.add(1, 7);
    cost.add(5, 70);
    expect([cost.isMeasured, cost.each, cost.of(3)]).toEqual([false, 0.3, 1.6]);
  });
});

describe('how many guesses a pass runs', () => {
  it.each([0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99])('is the best number where each is right at %f', (chance) => {
    for (const [first, each] of [
      [6, 4.75],
      [7, 2.5],
      [9, 1],
      [0.1, 5],
      [5, 0.001],
    ] as const) {
      const chances = powers(chance, 16);
      expect(allot([chances], costOf(first, each))).toEqual([bestCount(chances, first, each)]);
    }
  });

  it('is none where nothing is guessed, or where ids cost as much together as alone', () => {
    expect(allot([[]], costOf(6, 2))).toEqual([0]);
    expect(allot([powers(0.99, 8)], costOf(0, 5))).toEqual([0]);
  });

  it('counts what the guesses cost themselves', () => {
    expect(allot([powers(0.9, 8)], costOf(9, 1), 0)).toEqual([8]);
    expect(allot([powers(0.9, 8)], costOf(9, 1), 2)).toEqual([5]);
    expect(allot([powers(0.9, 8)], costOf(9, 1), 10)).toEqual([0]);
  });

  it('goes to the sequences with the best guesses', () => {
    const cost = costOf(8, 2);
    expect(allot([powers(0.95, 6), powers(0.3, 6), [], powers(0.8, 6)], cost)).toEqual([6, 0, 0, 1]);
    const alone = allot([powers(0.5, 6)], cost);
    const among = allot([powers(0.5, 6), ...Array(15).fill([])], cost);
    expect([alone, among[0]]).toEqual([[1], 0]); // many sequences fill a pass, and one id more is dear
  });
});
