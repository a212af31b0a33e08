// What BERT's tokenizer does to a text: control characters go, white space becomes spaces, Chinese characters get spaces
// around them, accents are stripped, letters become small. Knows nothing of files.
// Reference: huggingface/tokenizers src/normalizers/bert.rs.

import { IS_CONTROL, IS_NONSPACING_MARK, normalizeUnicode } from './unicode-classes.js';

export interface BertOptions {
  readonly cleanText: boolean;
  readonly handleChinese: boolean;
  readonly stripAccents: boolean;
  readonly lowercase: boolean;
}

/** The blocks of CJK ideographs; U+2B820 … U+2B91F are not among them there. */
const CHINESE =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;

export function bertNormalize(text: string, options: BertOptions): string {
  let changed = text;
  if (options.cleanText) {
    changed = changed.replace(IS_CONTROL, '').replace(/\p{White_Space}/gu, ' ');
  }
  if (options.handleChinese) {
    changed = changed.replace(CHINESE, ' $& ');
  }
  if (options.stripAccents) {
    changed = normalizeUnicode(changed, 'NFD').replace(IS_NONSPACING_MARK, '');
  }
  return options.lowercase ? lowercase(changed) : changed;
}

/** Each character alone: toLowerCase of a word would write a Greek final sigma. */
export function lowercase(text: string): string {
  return text.includes('Σ') ? Array.from(text, (character) => character.toLowerCase()).join('') : text.toLowerCase();
}

/** Does the text begin with what is taken away? */
export function bertTrims(text: string, options: BertOptions): boolean {
  const taken = (pattern: RegExp) => text.search(pattern) === 0;
  return (options.cleanText && taken(IS_CONTROL)) || (options.stripAccents && taken(IS_NONSPACING_MARK));
}
