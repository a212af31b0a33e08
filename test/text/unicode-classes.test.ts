// Characters that are older or newer than the Unicode of Hugging Face's Rust libraries: what they are there, whatever the
// Unicode of this Node.

import { expect, it } from 'vitest';
import { bertNormalize } from '../../src/text/bert-normalizer.js';
import { asUnicode16, normalizeUnicode, PUNCTUATION_MARK, WORDS_AND_MARKS } from '../../src/text/unicode-classes.js';

it('a mark of Unicode 11 is no mark there, and nothing is moved over it', () => {
  expect(normalizeUnicode('a\u{10f48}\u0323\u0301é', 'NFD')).toBe('a\u{10f48}\u0323\u0301e\u0301');
  expect('a\u0301\u0323'.normalize('NFD')).toBe('a\u0323\u0301');
  expect(normalizeUnicode('a\u0301\u0323', 'NFD')).toBe('a\u0323\u0301');
  expect(normalizeUnicode('\u32ff', 'NFKC')).toBe('\u32ff'); // the era Reiwa, of Unicode 12.1
});

it('BERT strips the accents that Unicode 8 had, and the controls', () => {
  const all = { cleanText: true, handleChinese: true, stripAccents: true, lowercase: true };
  expect(bertNormalize('Ärger\u0000 \u200bΑΣ\t学\ufffd', all)).toBe('arger ασ  学 ');
  expect(bertNormalize('a\u{10f48}\u1734', all)).toBe('a\u{10f48}');
});

it('punctuation of Unicode 8', () => {
  expect('a$。\u2e43\u{10ed0}«'.match(PUNCTUATION_MARK)).toEqual(['$', '。', '«']);
});

it('a letter of Unicode 17 is none', () => {
  expect(asUnicode16('a\u{323b0}\u088f')).toBe('a\u{3fffe}\ufdd0');
  expect('ab_1 .\u{323b0}c'.match(WORDS_AND_MARKS)).toEqual(['ab_1', '.\u{323b0}', 'c']);
});
