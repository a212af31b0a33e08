// SentencePiece's map of characters: what a damaged one says, and graphemes in a text of any length.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Charsmap } from '../../src/text/charsmap.js';

const JSON_FILE = new URL('../fixtures/tokenizers/unigram-t5/tokenizer.json', import.meta.url);
const { normalizer } = JSON.parse(readFileSync(JSON_FILE, 'utf8'));
const MAP = Buffer.from(normalizer.normalizers[0].precompiled_charsmap, 'base64');

/** A map with these units, and these texts behind them. */
function mapOf(units: readonly number[], texts = ''): Uint8Array {
  const bytes = Buffer.alloc(4 + 4 * units.length);
  bytes.writeUInt32LE(4 * units.length);
  for (const [i, unit] of units.entries()) {
    bytes.writeUInt32LE(unit, 4 + 4 * i);
  }
  return Buffer.concat([bytes, Buffer.from(texts)]);
}

describe('Charsmap', () => {
  it.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array()],
    ['a size alone', Uint8Array.of(4, 0, 0, 0)],
    ['a size that is no multiple of 4', Uint8Array.of(3, 0, 0, 0, 1, 1, 1, 1)],
    ['a size of 0', Uint8Array.of(0, 0, 0, 0, 1)],
  ])('refuses %s', (_, bytes) => {
    expect(() => new Charsmap(bytes)).toThrow(/expected at most 16777216 bytes, the first the size of a trie/);
  });

  it('does not read past its end', () => {
    expect(() => new Charsmap(mapOf([0])).normalize('a')).toThrow('outside of its trie');
    const units = new Array<number>(128).fill(0);
    units[96] = 5000; // where a leaf that is reached by a has its text
    const leaf = [...units];
    leaf[97] = (1 << 10) | 0x100 | 0x61; // its children begin at 97 ^ 1
    expect(() => new Charsmap(mapOf(leaf, 'x\0')).normalize('a')).toThrow('outside of its replacements');
    leaf[96] = 0;
    expect(new Charsmap(mapOf(leaf, 'x\0')).normalize('ab')).toBe('xb');
  });

  it('whatever its bytes are, it ends', () => {
    for (let i = 0; i < 300; i++) {
      const bytes = Uint8Array.from(MAP);
      for (let k = 0; k < 20; k++) {
        const at = 4 + ((i * 7919 + k * 104_729) % (bytes.length - 4));
        bytes[at] = (bytes[at] as number) ^ (1 << (k % 8));
      }
      try {
        new Charsmap(bytes).normalize('ﬁ ½ Ａ e\u0301 Ⅷ');
      } catch (error) {
        expect((error as Error).message).toMatch(/outside of|encoded data was not valid/);
      }
    }
  });

  it('finds the graphemes of a long stretch as those of a short one', () => {
    const charsmap = new Charsmap(MAP);
    const part = 'e\u0301\u200d½\u{1f1e9}\u{1f1ea}\u0308ﬁ\r\n\u1100\u1161\u11a8👨\u200d👩';
    const expected = charsmap.normalize(`${part} `);
    expect(charsmap.normalize(`${part} `.repeat(400))).toBe(expected.repeat(400));
    expect(charsmap.normalize('\u0301'.repeat(100_000))).toHaveLength(100_000);
  });
});
