import { describe, expect, it } from 'vitest';
import { Terminal } from '../../../src/cli/shell/terminal.js';
import { noteLiteralStop, readEscapes, withUnescapedStops } from '../../../src/cli/shell/unescape.js';
import { expectFailure } from '../../support/errors.js';

describe('--escape', () => {
  it.each([
    ['a\\nb\\tc\\\\n', 'a\nb\tc\\n'],
    ['\\x41\\x0a\\u4f60\\u597D', 'A\n你好'],
    ['\\uD83C\\uDF36', '🌶'],
    ['\\xe4\\xbd\\xa0', '你'],
    ['\\xE9 \\xfF', 'é ÿ'],
    ['\\N \\q \\x4 \\u12 \\', '\\N \\q \\x4 \\u12 \\'],
    ['\\\\x41', '\\x41'],
    ['', ''],
  ])('reads %s', (given, expected) => {
    expect(readEscapes(given, 'the prompt')).toBe(expected);
  });

  it('refuses half a character', async () => {
    await expectFailure(async () => readEscapes('\\ud83c', '--stop'), '--stop: \\uD800 … \\uDFFF');
  });

  it('reads stop strings only where it is given', () => {
    expect(withUnescapedStops({ escape: true, stop: ['\\n', 'x'] }).stop).toEqual(['\n', 'x']);
    expect(withUnescapedStops({ escape: false, stop: ['\\n'] }).stop).toEqual(['\\n']);
  });
});

describe('without --escape', () => {
  const notes = (stop: string[], given = false) => {
    const lines: string[] = [];
    noteLiteralStop(
      { escape: given, stop },
      Object.assign(new Terminal(), { note: (line: string) => lines.push(line) }),
    );
    return lines;
  };

  it('a stop that looks like an escape is noted once', () => {
    expect(notes(['a', '\\n\\n', '\\t'])).toEqual([
      '--stop \\n\\n: a backslash is a character like others here; with --escape \\n is a newline',
    ]);
    expect(notes(['\\u4f60'])).toEqual([
      '--stop \\u4f60: a backslash is a character like others here; with --escape \\u4f60 is what it stands for',
    ]);
    expect(notes(['\\q', 'C:\\dir'])).toEqual([]);
    expect(notes(['\\n'], true)).toEqual([]);
  });
});
