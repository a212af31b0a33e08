// The prompt lookup against a search through the whole text.

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PromptLookup } from '../../src/generation/prompt-lookup.js';

const guess = (ids: readonly number[], most = 4) => new PromptLookup().guess({ ids, window: ids }, most);
const guessed = (ids: readonly number[], most = 4) => guess(ids, most).ids;

describe('what it guesses', () => {
  it.each<[string, number[], number[]]>([
    ['nothing of no text', [], []],
    ['nothing where nothing repeats', [1, 2, 3, 4, 5], []],
    ['nothing where a single id does', [1, 2, 3, 1], []],
    ['what followed the last two', [1, 2, 3, 4, 5, 6, 7, 1, 2], [3, 4, 5, 6]],
    ['the latest place', [1, 2, 3, 9, 1, 2, 4, 9, 8, 1, 2], [4, 9, 8, 1]],
    ['a longer agreement, though it is older', [7, 8, 1, 2, 3, 0, 1, 2, 4, 0, 7, 8, 1, 2], [3, 0, 1, 2]],
    ['of two that agree in four the latest', [5, 6, 7, 8, 1, 5, 6, 7, 8, 2, 9, 5, 6, 7, 8], [2, 9, 5, 6]],
    ['itself, where a repetition is shorter than the draft', [3, 1, 2, 1, 2], [1, 2, 1, 2]],
    ['one id over and over', [4, 4, 4], [4, 4, 4, 4]],
    ['ids as large as there are', [131071, 131070, 5, 131071, 131070], [5, 131071, 131070, 5]],
  ])('%s', (_, ids, expected) => {
    expect(guessed(ids)).toEqual(expected);
  });

  it('at most so many', () => {
    const ids = [1, 2, 3, 4, 5, 6, 7, 1, 2];
    expect([1, 3, 6].map((most) => guessed(ids, most).length)).toEqual([1, 3, 6]);
  });

  it('goes on in the place that it follows, though the same four ids stood elsewhere since', () => {
    const source = [1, 2, 3, 4, 5, 6, 7, 8];
    const decoy = [4, 5, 6, 7, 0];
    expect(guessed([...source, ...decoy, ...source.slice(0, 7)])).toEqual([8, ...decoy.slice(0, 3)]);
    expect(guessed([...source, ...decoy, ...source.slice(3, 7)])).toEqual([0, 4, 5, 6]); // not followed so far
  });

  it('leaves a place where the text goes on otherwise', () => {
    expect(guessed([1, 2, 3, 4, 5, 9, 1, 2, 3, 4, 6])).toEqual([]);
  });

  it('but not for one id where many before it agreed', () => {
    const source = Array.from({ length: 20 }, (_, i) => 100 + i);
    const upTo = (length: number, ...more: number[]) => [...source, 1, ...source.slice(0, length), ...more];
    expect(guessed(upTo(7, 2))).toEqual([]);
    expect(guessed(upTo(8, 2))).toEqual([109, 110, 111, 112]); // 108 was another
    expect(guessed(upTo(8, 2, 109))).toEqual([110, 111, 112, 113]);
    expect(guessed(upTo(8, 2, 3))).toEqual([]);
    expect(guessed([...source.slice(0, 9), ...source.slice(0, 9), 2])).toEqual([101, 102, 103, 104]); // 100 was another
  });
});

it('forgets the beginning of a text that is very long, and no more', () => {
  const text = Array.from({ length: 150_000 }, (_, id) => id);
  expect(guessed([...text, 10, 11, 12])).toEqual([]);
  expect(guessed([...text, 149_990, 149_991, 149_992])).toEqual([149_993, 149_994, 149_995, 149_996]);
});

it('its kinds tell how many ids agree', () => {
  const source = Array.from({ length: 30 }, (_, i) => i);
  const kindsAfter = (agreeing: number) => guess([...source, 99, ...source.slice(0, agreeing)]).kinds;
  expect(kindsAfter(2)).toEqual([1, 2, 3, 4]);
  expect(kindsAfter(4)).toEqual([3, 4, 4, 4]);
  expect(kindsAfter(7)).toEqual([4, 4, 5, 5]);
  expect(kindsAfter(15)).toEqual([5, 5, 6, 6]);
  expect(kindsAfter(25)).toEqual([6, 6, 6, 6]);
  expect(guess([...source, 99, ...source.slice(0, 9), 98]).kinds).toEqual([0, 0, 1, 2]); // one id differed
  expect(new PromptLookup().chances.length).toBe(7);
});

it('property: the same whether it has followed the text id by id or sees it at once', () => {
  const texts = fc.array(fc.nat(3), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(texts, (ids) => {
      const lookup = new PromptLookup();
      const steps = ids.map((_, i) => lookup.guess({ ids: ids.slice(0, i + 1), window: [] }, 5));
      expect(steps.at(-1)).toEqual(guess(ids, 5));
    }),
  );
});

it('property: where two ids repeat it guesses, and what it guesses followed as many ids as are at the end', () => {
  const texts = fc.array(fc.nat(3), { minLength: 3, maxLength: 60 });
  fc.assert(
    fc.property(texts, (ids) => {
      const [a, b] = ids.slice(-2);
      const repeats = ids.slice(0, -2).some((id, i) => id === a && ids[i + 1] === b);
      const {
        ids: [first],
        kinds: [kind],
      } = guess(ids, 1);
      expect(first !== undefined).toBe(repeats || kind === 0);
      if (first !== undefined && kind !== 0) {
        const least = [0, 2, 3, 4, 5, 9, 17][kind as number] as number;
        const end = ids.slice(-least);
        const places = ids
          .map((_, i) => i)
          .filter((i) => i + least < ids.length && end.every((id, j) => ids[i + j] === id));
        expect(places.map((i) => ids[i + least])).toContain(first);
      }
    }),
  );
});
