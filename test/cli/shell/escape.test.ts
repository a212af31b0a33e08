// What could control a terminal is escaped, in words and in JSON, which stays the same value.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jsonText, printable, printableLines } from '../../../src/cli/shell/escape.js';

describe('printable', () => {
  it.each([
    ['plain é 人 🙂 \u200d text', 'plain é 人 🙂 \u200d text'],
    ['a\tb\nc\u0000', 'a\\tb\\nc\\u0000'],
    ['\u001b[31m\u007f', '\\u001b[31m\\u007f'],
    ['\u0080\u009b2J\u009f', '\\u0080\\u009b2J\\u009f'],
    ['\u202egpj\u2066\u200f\u061c', '\\u202egpj\\u2066\\u200f\\u061c'],
    ['\u2028\u2029', '\\u2028\\u2029'],
    ['\ud83d alone', '\\ud83d alone'],
  ])('%j', (text, expected) => {
    expect(printable(text)).toBe(expected);
    expect(printable(expected)).toBe(expected);
  });

  it('leaves the ends of lines where there are several', () => {
    expect(printableLines('a\u007f\nb')).toBe('a\\u007f\nb');
  });
});

it('JSON is the same value, in characters that control nothing', () => {
  fc.assert(
    fc.property(fc.json(), fc.string({ unit: 'binary' }), (json, text) => {
      const value = [JSON.parse(json), text, '\u007f\u0085\u2028\u202e'];
      const written = jsonText(value);
      expect(JSON.parse(written)).toEqual(JSON.parse(JSON.stringify(value)));
      expect(printable(written)).toBe(written);
    }),
  );
});
