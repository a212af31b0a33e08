// `kvgen tokenize` with --decode and --view, as it is called.

import { describe, expect, it } from 'vitest';
import { visible } from '../../../src/cli/tokenize/token-view.js';
import { kvgenHere as kvgen } from '../here.js';

const TEXT = 'Once upon a time,\n你好 🌶\t\\n \u202e x';

async function idsOf(text: string): Promise<string> {
  return (await kvgen(['tokenize', '--', text])).stdout;
}

describe('--decode', () => {
  it('gives the text back, byte for byte, from what was printed or from any list', async () => {
    const ids = await idsOf(TEXT);
    expect(await kvgen(['tokenize', '--decode'], { input: ids })).toMatchObject({ code: 0, stdout: `${TEXT}\n` });
    const list = (JSON.parse(ids) as number[]).join(' ');
    expect((await kvgen(['tokenize', '--decode', list])).stdout).toBe(`${TEXT}\n`);
    expect((await kvgen(['tokenize', '--decode', '481,480, 259\n423'])).stdout).toBe('Once upon a time\n');
    expect((await kvgen(['tokenize', '--decode', '[]'])).stdout).toBe('\n');
    expect((await kvgen(['tokenize', '--decode', '0'])).stdout).toBe('<|endoftext|>\n');
  });

  it('half a character is U+FFFD', async () => {
    expect((await kvgen(['tokenize', '--decode', '161,122'])).stdout).toBe('\ufffd\n');
  });

  it.each([
    ['1,x', 'expected token ids, such as 1,2,3 or what `kvgen tokenize` prints, found "x"'],
    ['1.5', 'found "1.5"'],
    ['-1', 'found "-1"'],
    ['[1,2', 'found "[1,2"'],
    ['Once upon', 'found "Once upon"'],
  ])('refuses %s', async (given, message) => {
    const asArgument = await kvgen(['tokenize', '--decode', '--', given]);
    expect(asArgument).toMatchObject({ code: 2, stdout: '' });
    expect(asArgument.stderr).toMatch(/^kvgen: [^\n]*\n$/);
    expect(asArgument.stderr).toContain(message);
  });

  it('refuses the same in a pipe with exit code 1, and an id without a token', async () => {
    expect(await kvgen(['tokenize', '--decode'], { input: 'x' })).toMatchObject({ code: 1, stdout: '' });
    const { code, stderr } = await kvgen(['tokenize', '--decode', '5,4096']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^kvgen: token id 4096: expected the id of a token of .*stories, the last is 4095\n$/);
  });
});

describe('--view', () => {
  it('is a line a token', async () => {
    const { stdout } = await kvgen(['tokenize', '--view', 'Once upon 你\n']);
    expect(stdout).toBe(
      '481\tOnce\t4f 6e 63 65\n480\t␣upon\t20 75 70 6f 6e\n221\t␣\t20\n161\t\\xe4\te4\n122\t\\xbd\tbd\n255\t\\xa0\ta0\n199\t\\n\t0a\n',
    );
    expect((await kvgen(['tokenize', '--view', '--decode', '480'])).stdout).toBe('480\t␣upon\t20 75 70 6f 6e\n');
  });

  it('is coloured where that was asked for', async () => {
    const { stdout } = await kvgen(['tokenize', '--view', '--color', 'always', '--decode', '480,259']);
    expect(stdout).toBe(
      '480\t\u001b[94m␣upon\u001b[39m\t\u001b[2m20 75 70 6f 6e\u001b[22m\n259\t\u001b[91m␣a\u001b[39m\t\u001b[2m20 61\u001b[22m\n',
    );
  });

  it.each([
    [' a\t\n\\', '␣a\\t\\n\\\\'],
    ['\u001b[31m\u0000\u007f', '\\u001b[31m\\u0000\\u007f'],
    ['\u00a0\u200b\u202e\ufeff\u3000\ufe0f', '\\u00a0\\u200b\\u202e\\ufeff\\u3000\\ufe0f'],
    ['\u{e0041}你🌶é', '\\udb40\\udc41你🌶é'],
  ])('shows what is invisible: %j', (text, expected) => {
    expect(visible(new TextEncoder().encode(text))).toBe(expected);
  });

  it('shows bytes that are no character', () => {
    expect(visible(Uint8Array.of(0x61, 0xe4, 0xbd, 0x20, 0xff, 0xc3, 0xa9))).toBe('a\\xe4\\xbd␣\\xffé');
  });
});
