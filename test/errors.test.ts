// Messages: one line, not too long, and values as they are shown in them.

import { describe, expect, it } from 'vitest';
import { cutMiddle, errorMessage, KvgenError, oneLine, shown } from '../src/errors.js';

describe('a message', () => {
  it('is one line', () => {
    expect(new KvgenError('a: b\n  c\r\nd').message).toBe('a: b c d');
    expect(errorMessage(new Error('one\ntwo'))).toBe('one two');
    expect(errorMessage(new Error('one\rtwo'))).toBe('one two'); // as JSON.parse quotes it
    expect(errorMessage('thrown')).toBe('thrown');
  });

  it('that is too long keeps its beginning and its end', () => {
    const { message } = new KvgenError(`/a/path: ${'x'.repeat(1e6)}; the next step`);
    expect(message).toMatch(/^\/a\/path: x+ … x+; the next step$/);
    expect(message).toHaveLength(290);
    expect(oneLine(' '.repeat(1e6))).toHaveLength(290);
    expect(oneLine('y'.repeat(290))).toBe('y'.repeat(290));
  });

  it('is never cut within a character', () => {
    for (let length = 10; length < 14; length++) {
      const cut = cutMiddle('🙂'.repeat(20), length);
      expect(cut).toMatch(/^(🙂)+ … (🙂)+$/u);
      expect(cut.length).toBeLessThanOrEqual(length);
    }
  });
});

describe('a value in a message', () => {
  it.each<[unknown, string]>([
    [undefined, 'nothing'],
    [null, 'null'],
    [-1.5, '-1.5'],
    ['a "b"\n', '"a \\"b\\"\\n"'],
    [[1, [2, { a: 'b' }]], '[1,[2,{"a":"b"}]]'],
    [{ a: null, 'b c': [] }, '{"a":null,"b c":[]}'],
    [[1, 2, 3, 4, 5, 6, 7, 8, 9], '[1,2,3,4,5,6,7,8,…]'],
    [[[[[1]]]], '[[[[…]]]]'],
    ['x'.repeat(100), `"${'x'.repeat(39)} … ${'x'.repeat(38)}"`],
  ])('%j is shown as %s', (value, words) => {
    expect(shown(value)).toBe(words);
  });

  it('may be of any depth', () => {
    expect(shown(JSON.parse(`${'['.repeat(1e5)}${']'.repeat(1e5)}`))).toBe('[[[[…]]]]');
  });
});
