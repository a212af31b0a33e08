// float16: every value there and back, and every rounding between two neighbours.

import { describe, expect, it } from 'vitest';
import { narrowFloat16, widenFloat16 } from '../../src/weights/float16.js';

const LARGEST = 0x7bff;

function widened(halves: readonly number[]): Float32Array {
  const values = new Float32Array(halves.length);
  widenFloat16(Uint16Array.from(halves), values);
  return values;
}

/** undefined: not all of them have one. */
function narrowed(values: Float32Array): number[] | undefined {
  const halves = new Uint16Array(values.length);
  return narrowFloat16(values, halves) ? [...halves] : undefined;
}

/** The next float32 away from zero, or towards it. */
function next(value: number, step: 1 | -1): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer);
  bits[0] = (bits[0] as number) + step;
  return new Float32Array(bits.buffer)[0] as number;
}

describe('to float16', () => {
  it('every finite value comes back as it was', () => {
    const all = Array.from({ length: 1 << 16 }, (_, bits) => bits).filter((bits) => (bits & 0x7fff) <= LARGEST);
    expect(narrowed(widened(all))).toEqual(all);
  });

  it('between two neighbours the nearer one, and halfway the even one, with either sign', () => {
    const lower = Array.from({ length: LARGEST }, (_, bits) => bits);
    const values = widened([...lower, LARGEST]);
    const middle = lower.map((i) => ((values[i] as number) + (values[i + 1] as number)) / 2);
    const even = lower.map((i) => (i % 2 === 0 ? i : i + 1));
    expect(narrowed(Float32Array.from(middle))).toEqual(even);
    expect(narrowed(Float32Array.from(middle, (value) => -value))).toEqual(even.map((bits) => 0x8000 | bits));
    expect(narrowed(Float32Array.from(middle, (value) => next(value, -1)))).toEqual(lower);
    expect(narrowed(Float32Array.from(middle, (value) => next(value, 1)))).toEqual(lower.map((i) => i + 1));
  });

  it.each([
    ['zero', 0, 0x0000],
    ['minus zero', -0, 0x8000],
    ['half the smallest', 2 ** -25, 0x0000],
    ['the smallest float32', 2 ** -149, 0x0000],
    ['the largest subnormal, rounded up', 1023.5 * 2 ** -24, 0x0400],
    ['a third', 1 / 3, 0x3555],
    ['one and half a step', 1 + 2 ** -11, 0x3c00],
    ['one and a half step', 1 + 3 * 2 ** -11, 0x3c02],
    ['the largest', 65504, LARGEST],
    ['what is rounded down to it', 65519, LARGEST],
    ['pi', Math.PI, 0x4248],
  ])('%s', (_, value, bits) => {
    expect(narrowed(Float32Array.of(value))).toEqual([bits]);
  });

  it.each([65520, -65520, 1e38, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN])(
    '%d has none',
    (value) => {
      expect(narrowed(Float32Array.of(1, value, 1))).toBeUndefined();
    },
  );

  it('works on parts of arrays', () => {
    const values = Float32Array.of(9, 1, -2, 9).subarray(1, 3);
    expect(narrowed(values)).toEqual([0x3c00, 0xc000]);
    const into = new Float32Array(5);
    widenFloat16(Uint16Array.of(0x3c00, 0xc000), into.subarray(2));
    expect([...into]).toEqual([0, 0, 1, -2, 0]);
  });
});
