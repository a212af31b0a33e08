import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { readPrompt } from '../../../src/cli/shell/prompt-input.js';
import { PROMPT } from '../../../src/files/file-kinds.js';
import { type Input, StreamInput } from '../../../src/files/named-input.js';
import { expectFailure } from '../../support/errors.js';
import { tempDirs } from '../../support/temp-dir.js';

const tempDir = tempDirs();
const { signal } = new AbortController();
const reading = (stdin: () => Input) => ({ terminal: { stdin }, signal });
const noStdin = reading(() => {
  throw new Error('stdin was read');
});
const fromStdin = (bytes: Uint8Array | string, argument?: string, file?: string) =>
  readPrompt(
    { argument, literal: false, file },
    reading(() => new StreamInput('stdin', PROMPT, Readable.from([Buffer.from(bytes)]))),
  );

function fromFile(bytes: Uint8Array | string): Promise<string> {
  const file = join(tempDir(), 'prompt.txt');
  writeFileSync(file, bytes);
  return readPrompt({ argument: undefined, literal: false, file }, noStdin);
}

describe('where a prompt comes from', () => {
  it('the argument, byte for byte, with its newlines', async () => {
    const argument = ' x\ufeff\n\n';
    expect(await readPrompt({ argument, literal: false, file: undefined }, noStdin)).toBe(argument);
    expect(await readPrompt({ argument: '', literal: false, file: undefined }, noStdin)).toBe('');
  });

  it('stdin, where there is none or it is -', async () => {
    expect(await fromStdin('hello')).toBe('hello');
    expect(await fromStdin('hello', '-')).toBe('hello');
    expect(await fromStdin('hello', undefined, '/dev/stdin')).toBe('hello');
  });

  it('- itself, after --', async () => {
    expect(await readPrompt({ argument: '-', literal: true, file: undefined }, noStdin)).toBe('-');
  });

  it('a file', async () => {
    expect(await fromFile('人工智能')).toBe('人工智能');
  });

  it('a file that cannot be read is named', async () => {
    const file = join(tempDir(), 'none.txt');
    const source = { argument: undefined, literal: false };
    const missing = 'none.txt: the prompt cannot be read (there is no such file)';
    await expectFailure(() => readPrompt({ ...source, file }, noStdin), missing);
    const folder = tempDir();
    await expectFailure(() => readPrompt({ ...source, file: folder }, noStdin), folder, '(it is a folder)');
    if (process.getuid?.() !== 0) {
      writeFileSync(file, 'x');
      chmodSync(file, 0);
      await expectFailure(() => readPrompt({ ...source, file }, noStdin), '(permission denied)');
    }
  });
});

describe('one trailing newline goes', () => {
  it.each([
    ['a\n', 'a'],
    ['a\r\n', 'a'],
    ['a\n\n', 'a\n'],
    ['a\r\n\r\n', 'a\r\n'],
    ['a', 'a'],
    ['a ', 'a '],
    ['a\r', 'a\r'],
    ['\na', '\na'],
    ['\n', ''],
    ['', ''],
  ])('%j', async (text, expected) => {
    expect(await fromStdin(text)).toBe(expected);
    expect(await fromFile(text)).toBe(expected);
  });

  it('and a byte order mark stays', async () => {
    expect(await fromStdin('\ufeffa\n')).toBe('\ufeffa');
  });
});

describe('bytes that are not UTF-8 are refused with their offset', () => {
  const text = (value: string) => [...Buffer.from(value)];
  it.each<[string, number[], number]>([
    ['a continuation byte first', [0x80, 0x61], 0],
    ['0xff', [0x61, 0xff], 1],
    ['Latin-1', [...text('na'), 0xef, ...text('ve')], 2],
    ['after characters of two, three and four bytes', [...text('é€😀'), 0xc3, 0x28], 9],
    ['a lead byte and no continuation', [...text('ab'), 0xe2, 0x82, 0x41], 2],
    ['cut at the end after one byte', [...text('ab'), 0xc3], 2],
    ['cut at the end after two', [...text('ab'), 0xe2, 0x82], 2],
    ['cut at the end after three', [...text('ab'), 0xf0, 0x9f, 0x98], 2],
    ['overlong, two bytes', [0x61, 0xc0, 0xaf], 1],
    ['overlong, three bytes', [0x61, 0xe0, 0x80, 0xaf], 1],
    ['overlong, four bytes', [0x61, 0xf0, 0x80, 0x80, 0xaf], 1],
    ['a surrogate', [0x61, 0x62, 0xed, 0xa0, 0x80], 2],
    ['beyond U+10FFFF', [0x61, 0xf4, 0x90, 0x80, 0x80], 1],
    ['the first of several', [0x61, 0xff, 0x62, 0xff], 1],
    ['far in', [...text('x'.repeat(70_000)), 0xff, ...text('y'.repeat(70_000))], 70_000],
    ['after a byte order mark', [0xef, 0xbb, 0xbf, 0xff], 3],
    ['a lone byte before the newline', [0x61, 0xc3, 0x0a], 1],
  ])('%s', async (_, bytes, offset) => {
    await expectFailure(
      () => fromStdin(Uint8Array.from(bytes)),
      `stdin: not UTF-8 at byte ${offset}; convert it first`,
    );
    await expectFailure(() => fromFile(Uint8Array.from(bytes)), `prompt.txt: not UTF-8 at byte ${offset};`);
  });

  it('and the greatest characters are taken', async () => {
    const all = '\u0000\u007f\u0080\u07ff\u0800\ud7ff\ue000\uffff\u{10000}\u{10ffff}';
    expect(await fromStdin(all)).toBe(all);
  });
});
