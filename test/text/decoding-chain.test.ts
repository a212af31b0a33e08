// Steps of decoders over tokens that arrive one by one: what each releases, and what is held back.

import { describe, expect, it } from 'vitest';
import type { Decoding } from '../../src/text/decoder.js';
import { bytesWithin, DecodingChain } from '../../src/text/decoding-chain.js';

type Tokens = Decoding['tokens'];
type Texts = Decoding['text'];

const BYTES: Tokens = [{ kind: 'bytes' }];
const SPACES: Tokens = [{ kind: 'replace', pattern: /▁/gu, content: ' ' }];
const WORD_PIECE: Tokens = [{ kind: 'wordPiece', prefix: '##', cleansUp: true }];
const strip = (start: number, stop: number) => ({ kind: 'strip', content: ' ', start, stop }) as const;
const replace = (pattern: string, content: string): Texts => [{ kind: 'replaceText', pattern, content }];

describe('DecodingChain', () => {
  it.each<[string, Tokens, Texts, string[], string[]]>([
    ['a row of bytes', BYTES, [], ['a', '<0xE4>', '<0xBD>', '<0xA0>', 'b'], ['a', '', '', '', '你b', '']],
    ['a row that is no character', BYTES, [], ['<0xE4>', '<0xBD>', 'b'], ['', '', '\ufffd\ufffdb', '']],
    ['one wrong byte spoils its row', BYTES, [], ['<0x61>', '<0xFF>'], ['', '', '\ufffd\ufffd']],
    ['a byte-order mark', BYTES, [], ['<0xEF>', '<0xBB>', '<0xBF>'], ['', '', '', '\ufeff']],
    ['what is no byte', BYTES, [], ['<0x6g>', '<0x+a>', '<0x061>'], ['<0x6g>', '', '\n<0x061>', '']],
    ['WordPiece', WORD_PIECE, [], ['##a', '##b', '你', '.', '##.'], ['##a', 'b', ' 你', '.', '.', '']],
    ['no decoder', [{ kind: 'spaces' }], [], ['a', 'b'], ['a', ' b', '']],
    ['ends of words', [{ kind: 'wordEnds', suffix: '</w>' }], [], ['a', 'b</w>', 'c</w>'], ['a', '', 'b ', 'c']],
    ['a space before the text', SPACES, [strip(1, 0)], ['▁', '▁a', '▁b'], ['', ' a', ' b', '']],
    ['spaces behind the text', [], [strip(0, 2)], ['a  ', ' ', 'b ', ' '], ['a', ' ', '  b', '', '']],
    ['a text that may become another', [], replace('aba', 'x'), ['ab', 'abab', 'a'], ['', 'xb', 'x', '']],
    ['a metaspace', [{ kind: 'metaspace', replacement: '▁', hidesFirst: true }], [], ['▁a▁', '▁b'], ['a', ' b', '']],
  ])('%s', (_, tokens, text, given, released) => {
    const chain = new DecodingChain({ tokens, text });
    expect([...given.map((token) => chain.push(token)), chain.end()]).toEqual(released);
  });

  it('holds while something may still change', () => {
    const chain = new DecodingChain({ tokens: BYTES, text: replace('ab', 'x') });
    const holding = ['c', '<0x61>', 'd', 'a', 'b', '<0x62>'].map((token) => {
      chain.push(token);
      return chain.holding;
    });
    expect(holding).toEqual([false, true, false, true, false, true]);
  });

  it('knows the bytes of a token within a text', () => {
    const within = (tokens: Tokens, token: string) => Buffer.from(bytesWithin({ tokens, text: [strip(1, 0)] }, token));
    expect(within([...SPACES, ...BYTES], '<0xE4>')).toEqual(Buffer.of(0xe4));
    expect(within([...SPACES, ...BYTES], '▁a')).toEqual(Buffer.from(' a'));
    expect(within(WORD_PIECE, '你')).toEqual(Buffer.from(' 你'));
    expect(within(WORD_PIECE, '##ing')).toEqual(Buffer.from('ing'));
  });
});
