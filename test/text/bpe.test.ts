// The merges of one word, against the plain way: look for the lowest rank again and again.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Bpe, type BpeOptions } from '../../src/text/bpe.js';
import { UnknownCharacter } from '../../src/text/word-model.js';

const PLAIN: BpeOptions = {
  ignoreMerges: false,
  unknownId: undefined,
  fuseUnknown: false,
  byteFallback: false,
  prefix: '',
  suffix: '',
};

/** Letters first, then what the merges make. */
function vocabularyOf(letters: string, merges: readonly string[]): Map<string, number> {
  const tokens = new Set([...letters, ...merges.map((merge) => merge.replace(' ', ''))]);
  return new Map(Array.from(tokens, (token, id) => [token, id]));
}

function bpeOf(letters: string, merges: readonly string[], options = PLAIN): Bpe {
  const ids = vocabularyOf(letters, merges);
  const column = (of: (left: string, right: string) => string) =>
    Int32Array.from(merges, (merge) => ids.get(of(...(merge.split(' ') as [string, string]))) as number);
  const pairs = { left: column((left) => left), right: column((_, right) => right) };
  return new Bpe(ids, { ...pairs, merged: column((left, right) => left + right) }, options);
}

function plainly(word: string, merges: readonly string[]): string[] {
  const parts = [...word];
  for (;;) {
    const ranks = parts.slice(1).map((part, i) => merges.indexOf(`${parts[i]} ${part}`));
    const best = Math.min(...ranks.map((rank) => (rank < 0 ? Number.POSITIVE_INFINITY : rank)));
    if (best === Number.POSITIVE_INFINITY) {
      return parts;
    }
    const i = ranks.indexOf(best);
    parts.splice(i, 2, `${parts[i]}${parts[i + 1]}`);
  }
}

describe('merging', () => {
  const MERGES = ['a b', 'ab a', 'b b', 'bb a', 'aba ab', 'a a', 'aa aa', 'b a', 'ba ba'];

  it('is that of the plain way', () => {
    const ids = vocabularyOf('ab', MERGES);
    const bpe = bpeOf('ab', MERGES);
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 90 }), (word) => {
        expect(bpe.encode(word)).toEqual(plainly(word, MERGES).map((part) => ids.get(part)));
      }),
    );
  });

  it('begins at the left where ranks are equal, and gives the same again', () => {
    const bpe = bpeOf('a', ['a a']);
    for (const word of ['aaa', 'aaa', '', 'a']) {
      expect(bpe.encode(word)).toEqual(word === 'aaa' ? [1, 0] : word === 'a' ? [0] : []);
    }
  });

  it('of two hundred thousand letters comes to an end', () => {
    expect(bpeOf('a', ['a a', 'aa aa', 'aaaa aaaa']).encode('a'.repeat(200_000))).toHaveLength(25_000);
  });

  it('is not needed for a word that is a token, where the file says so', () => {
    const merges = ['a b', 'b c', 'ab c'];
    const ids = vocabularyOf('abcd', [...merges, 'abc d']);
    const none = new Int32Array();
    const whole = (ignoreMerges: boolean) =>
      new Bpe(ids, { left: none, right: none, merged: none }, { ...PLAIN, ignoreMerges }).encode('abcd');
    expect([whole(true), whole(false)]).toEqual([[ids.get('abcd')], [0, 1, 2, 3]]);
  });
});

describe('a character without a token', () => {
  it('is refused by name', () => {
    expect(() => bpeOf('ab', []).encode('axb')).toThrow(new UnknownCharacter('x'));
  });

  it.each([
    [false, [0, 9, 9, 1, 9]],
    [true, [0, 9, 1, 9]],
  ])('becomes the id for such, fused %s', (fuseUnknown, ids) => {
    const bpe = bpeOf('ab', [], { ...PLAIN, unknownId: 9, fuseUnknown });
    for (const _ of ['first', 'again']) {
      bpe.unknown.clear();
      expect(bpe.encode('axyb😀')).toEqual(ids);
      expect([...bpe.unknown]).toEqual(['x', 'y', '😀']);
    }
  });
});
