// Mutations follow from the seed alone, leave what they are given, and reach every kind of change.

import { describe, expect, it } from 'vitest';
import { mutateBytes, mutateJson, mutateJsonText, mutateText } from '../../fuzz/mutate.js';
import { Random } from '../../fuzz/random.js';

const many = <T>(make: (random: Random, n: number) => T) =>
  Array.from({ length: 300 }, (_, n) => make(new Random(5, n), n));

describe('Random', () => {
  it('gives the same for the same seed and case, and other numbers for others', () => {
    const first = (seed: number, n: number) => new Random(seed, n).next();
    expect(first(1, 2)).toBe(first(1, 2));
    expect(new Set([first(1, 1), first(1, 2), first(2, 1), first(2, 2)]).size).toBe(4);
  });

  it('keeps to its range and reaches all of it', () => {
    expect(new Set(many((random) => random.below(4)))).toEqual(new Set([0, 1, 2, 3]));
    expect(new Set(many((random) => random.between(-1, 1)))).toEqual(new Set([-1, 0, 1]));
    expect(new Set(many((random) => random.pick(['a', 'b'])))).toEqual(new Set(['a', 'b']));
    expect(new Random(1, 1).below(0)).toBe(0);
  });
});

it('bytes: flipped, cut, longer, in another order', () => {
  const bytes = Buffer.from(Array.from({ length: 100 }, (_, i) => i));
  const before = Buffer.from(bytes);
  const changed = many((random) => mutateBytes(random, bytes));
  expect(bytes).toEqual(before);
  expect(changed.filter((one) => !one.equals(bytes)).length).toBeGreaterThan(250);
  expect(new Set(changed.map(({ length }) => Math.sign(length - 100)))).toEqual(new Set([-1, 0, 1]));
  expect(mutateBytes(new Random(5, 7), bytes)).toEqual(changed[7]);
  expect(() => many((random) => mutateBytes(random, Buffer.alloc(0)))).not.toThrow();
});

it('JSON: values, keys, missing, wrapped, at every depth', () => {
  const value = { a: 1, b: [true, 'x'], c: { d: null } };
  const changed = many((random) => JSON.stringify(mutateJson(random, value)));
  expect(value).toEqual({ a: 1, b: [true, 'x'], c: { d: null } });
  const find = (pattern: RegExp) => changed.filter((json) => pattern.test(json)).length;
  for (const pattern of [/^\{"b"/, /"d":\{/, /"a":2[,}]/, /\["x",true\]/, /"a":\[1\]/, /"c":\{\}/, /"__proto__"/]) {
    expect(find(pattern), String(pattern)).toBeGreaterThan(0);
  }
  expect(({} as { x?: unknown }).x).toBeUndefined();
});

it('JSON texts and texts: what JSON.stringify would not write', () => {
  const isJson = (text: string) => {
    try {
      JSON.parse(text);
      return true;
    } catch {
      return false;
    }
  };
  const changed = many((random) => mutateJsonText(random, '{"a":1,"b":["x"]}'));
  expect(changed.some((text) => text.includes('1e999'))).toBe(true);
  expect(new Set(changed.map(isJson))).toEqual(new Set([true, false]));
  expect(new Set(many((random) => mutateText(random, 'one two'))).size).toBeGreaterThan(100);
});
