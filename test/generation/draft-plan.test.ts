// How long a draft pays, on costs that are given.

import { describe, expect, it } from 'vitest';
import { allot, MeasuredCost, type PassCost } from '../../src/generation/draft-plan.js';

const costOf = (first: number, each: number): PassCost => ({ isMeasured: true, of: (ids) => first + each * ids });

/** The same, as it was measured. */
function measured(first: number, each: number): MeasuredCost {
  const cost = new MeasuredCost();
  for (let i = 0; i < 400; i++) {
    const ids = 1 + (i % 9);
    cost.add(ids, first + each * ids);
  }
  return cost;
}

const powers = (chance: number, count: number) => Array.from({ length: count }, (_, i) => chance ** (i + 1));

/** The best by trying all, if guesses are right a fifth less often than they promise. */
function bestCount(chances: readonly number[], first: number, each: number): number {
  const rates = [0, ...chances].map((_, count) => {
    const tokens = 1 + chances.slice(0, count).reduce((sum, chance) => sum + 0.8 * chance, 0);
    return tokens / (first + each * (1 + count));
  });
  return rates.indexOf(Math.max(...rates));
}

describe('the measured cost of a pass', () => {
  const rounded = (cost: MeasuredCost, ...ids: number[]) => ids.map((n) => Math.round(cost.of(n)));

  it('is a line', () => {
    expect(rounded(measured(6, 4.75), 1, 5, 12)).toEqual([11, 30, 63]);
  });

  it('is assumed before, and where passes of other sizes are long ago', () => {
    const cost = new MeasuredCost();
    expect([cost.isMeasured, cost.of(1), cost.of(2)]).toEqual([false, 1, 1.3]);
    cost.add(3, 80);
    for (let i = 0; i < 500; i++) {
      cost.add(1, 20);
    }
    expect([cost.isMeasured, rounded(cost, 1, 2, 3)]).toEqual([true, [20, 26, 32]]);
  });

  it('is not thrown off by a pass that was interrupted', () => {
    const cost = measured(6, 4);
    cost.add(3, 5000);
    expect(rounded(cost, 1, 9)).toEqual([10, 42]);
  });

  it('of an id is never less than nothing, nor more than its share', () => {
    const falling = new MeasuredCost();
    const steep = new MeasuredCost();
    for (let i = 0; i < 100; i++) {
      falling.add(1 + (i % 4), 10 - (i % 4));
      steep.add(1 + (i % 4), 10 * (1 + (i % 4)) ** 2);
    }
    expect(falling.of(9)).toBe(falling.of(1));
    expect(steep.of(0)).toBeCloseTo(0, 10);
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

  it('is none or enough where several ids cost more from the first on', () => {
    const cost: PassCost = { isMeasured: false, of: (ids) => (ids === 1 ? 1 : 1.9 + 0.06 * ids) };
    expect([0.5, 0.7, 0.8, 0.9, 0.97].map((chance) => allot([powers(chance, 12)], cost)[0])).toEqual([0, 6, 9, 12, 12]);
    expect(allot([powers(0.9, 1)], cost)).toEqual([0]);
  });

  it('counts what the guesses cost themselves', () => {
    expect(allot([powers(0.9, 8)], costOf(9, 1), 0)).toEqual([8]);
    expect(allot([powers(0.9, 8)], costOf(9, 1), 2)).toEqual([4]);
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
