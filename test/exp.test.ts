import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exp, log } from '../src/exp.js';

/** How many float64 numbers apart two numbers of the same sign are. */
function unitsApart(a: number, b: number): number {
  const [x, y] = new BigInt64Array(Float64Array.of(a, b).buffer) as unknown as [bigint, bigint];
  return Math.abs(Number(x - y));
}

describe('exp', () => {
  it('is within a unit in the last place of Math.exp, from where it leaves 0 to 709', () => {
    fc.assert(
      fc.property(fc.double({ min: -745.5, max: 709, noNaN: true }), (x) => {
        expect(unitsApart(exp(x), Math.exp(x))).toBeLessThanOrEqual(1);
      }),
      { numRuns: 20_000 },
    );
  });

  it('and for the differences of logits', () => {
    for (let i = 0; i <= 40_000; i++) {
      expect(unitsApart(exp(-i / 1000), Math.exp(-i / 1000))).toBeLessThanOrEqual(1);
    }
  });

  it('is within two units up to the largest number', () => {
    for (const x of [708.9, 709, 709.1, 709.5, 709.78]) {
      expect(unitsApart(exp(x), Math.exp(x))).toBeLessThanOrEqual(2);
    }
  });

  it.each([
    [0, 1],
    [-0, 1],
    [5e-324, 1],
    [-1e-17, 1],
    [-744, Math.exp(-744)],
    [-746, 0],
    [-1e300, 0],
    [Number.NEGATIVE_INFINITY, 0],
    [709.79, Number.POSITIVE_INFINITY],
    [1e300, Number.POSITIVE_INFINITY],
    [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
    [Number.NaN, Number.NaN],
  ])('of %d is %d', (x, expected) => {
    expect(exp(x)).toBe(expected);
  });

  it('is never more than one unit off where it is smallest', () => {
    expect([0, 5e-324]).toContain(exp(-745));
    expect(unitsApart(exp(-740), Math.exp(-740))).toBeLessThanOrEqual(1);
  });

  it('has these bits on every machine', () => {
    const bits = new BigUint64Array(Float64Array.from([-0.1, -0.7, -3.3, -11, -37.7, -300], exp).buffer);
    expect(Array.from(bits, (word) => word.toString(16))).toMatchInlineSnapshot(`
      [
        "3fecf46d99d52b3a",
        "3fdfc80db9dd5542",
        "3fa2e259bb85be85",
        "3ef18354238f6764",
        "3c886d47300a1b65",
        "24e245639c3a49f7",
      ]
    `);
  });
});

describe('log', () => {
  it('is within a few units in the last place of Math.log', () => {
    const numbers = fc.oneof(
      fc.double({ min: 1e-300, max: 1e300, noNaN: true }),
      fc.double({ min: 0.5, max: 20, noNaN: true }),
    );
    fc.assert(
      fc.property(numbers, (x) => {
        const exact = Math.log(x);
        expect(Math.abs(log(x) - exact)).toBeLessThanOrEqual(1e-15 + 4e-16 * Math.abs(exact));
      }),
      { numRuns: 5000 },
    );
  });

  it.each([1, 2, 10000, 500000, 1e6, 1e-300, Number.MAX_VALUE])('of %d', (x) => {
    expect(log(x)).toBeCloseTo(Math.log(x), 11);
  });
});
