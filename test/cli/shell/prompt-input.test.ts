import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readPrompt } from '../../../src/cli/shell/prompt-input.js';
import { encodePrompt, fitPrompt } from '../../../src/text/prompt-ids.js';
import type { Tokenizer } from '../../../src/text/tokenizer.js';
import { expectFailure } from '../../support/errors.js';
import { tempDirs } from '../../support/temp-dir.js';

const tempDir = tempDirs();
const noStdin = () => Promise.reject(new Error('stdin was read'));
const fromStdin = (bytes: Uint8Array | string, argument?: string) =>
  readPrompt({ argument, literal: false, file: undefined, readStdin: async () => Buffer.from(bytes) });

function fromFile(bytes: Uint8Array | string): Promise<string> {
  const file = join(tempDir(), 'prompt.txt');
  writeFileSync(file, bytes);
  return readPrompt({ argument: undefined, literal: false, file, readStdin: noStdin });
}

describe('where a prompt comes from', () => {
  it('the argument, byte for byte, with its newlines', async () => {
    const argument = ' x\ufeff\n\n';
    expect(await readPrompt({ argument, literal: false, file: undefined, readStdin: noStdin })).toBe(argument);
    expect(await readPrompt({ argument: '', literal: false, file: undefined, readStdin: noStdin })).toBe('');
  });

  it('stdin, where there is none or it is -', async () => {
    expect(await fromStdin('hello')).toBe('hello');
    expect(await fromStdin('hello', '-')).toBe('hello');
  });

  it('- itself, after --', async () => {
    expect(await readPrompt({ argument: '-', literal: true, file: undefined, readStdin: noStdin })).toBe('-');
  });

  it('a file', async () => {
    expect(await fromFile('人工智能')).toBe('人工智能');
  });

  it('a file that cannot be read is named', async () => {
    const file = join(tempDir(), 'none.txt');
    const source = { argument: undefined, literal: false, readStdin: noStdin };
    await expectFailure(() => readPrompt({ ...source, file }), 'none.txt: the prompt cannot be read', 'ENOENT');
    const folder = tempDir();
    await expectFailure(() => readPrompt({ ...source, file: folder }), folder, 'EISDIR');
    if (process.getuid?.() !== 0) {
      writeFileSync(file, 'x');
      chmodSync(file, 0);
      await expectFailure(() => readPrompt({ ...source, file }), 'EACCES');
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

describe('encodePrompt', () => {
  const tokenizer = (eosId?: number): Tokenizer => ({
    size: 256,
    eosId,
    encode: (value) => [...Buffer.from(value)],
    bytes: (id) => Uint8Array.of(id),
    has: () => true,
  });

  it('gives the ids of the text', () => {
    expect(encodePrompt('ab', tokenizer(7), 'm')).toEqual([97, 98]);
  });

  it('starts from the end-of-text token where there is no text', async () => {
    expect(encodePrompt('', tokenizer(7), 'm')).toEqual([7]);
    expect(encodePrompt('', tokenizer(0), 'm')).toEqual([0]);
    await expectFailure(() => encodePrompt('', tokenizer(), 'm'), 'm: an empty prompt needs an end-of-text token');
  });
});

describe('fitPrompt', () => {
  const ids = (length: number) => Array.from({ length }, (_, i) => i);

  it.each([
    [1, 10],
    [9, 10],
  ])('leaves %i ids in a context of %i alone, whatever may go', (length, nCtx) => {
    for (const drop of ['head', 'tail', undefined] as const) {
      expect(fitPrompt(ids(length), { nCtx, maxTokens: 100, drop, advice: '' })).toEqual({
        ids: ids(length),
        dropped: 0,
      });
    }
  });

  it.each<[number, number, number, number]>([
    // length, nCtx, maxTokens, kept: nCtx − min(maxTokens, nCtx / 2), at least one free
    [10, 10, 4, 6],
    [25, 10, 4, 6],
    [25, 10, 100, 5],
    [25, 10, Number.POSITIVE_INFINITY, 5],
    [25, 11, 100, 6],
    [25, 10, 0, 9],
    [25, 10, 1, 9],
    [25, 2, 5, 1],
  ])('%i ids, context %i, %d tokens: keeps %i', (length, nCtx, maxTokens, kept) => {
    const all = ids(length);
    const dropped = length - kept;
    expect(fitPrompt(all, { nCtx, maxTokens, drop: 'head', advice: '' })).toEqual({ ids: all.slice(dropped), dropped });
    expect(fitPrompt(all, { nCtx, maxTokens, drop: 'tail', advice: '' })).toEqual({ ids: all.slice(0, kept), dropped });
  });

  it('refuses with both numbers where nothing may go, or nothing would be left', async () => {
    await expectFailure(
      () => fitPrompt(ids(10), { nCtx: 10, maxTokens: 4, advice: '' }),
      'the prompt has 10 tokens and the context 10:',
    );
    await expectFailure(
      () => fitPrompt(ids(12), { nCtx: 10, maxTokens: 4, advice: 'cut it' }),
      '12 tokens',
      'the context 10',
      'cut it',
    );
    await expectFailure(
      () => fitPrompt(ids(3), { nCtx: 1, maxTokens: 4, drop: 'head', advice: '' }),
      'the prompt has 3 tokens and the context 1:',
    );
  });
});
