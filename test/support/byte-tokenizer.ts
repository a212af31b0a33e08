// A tokenizer whose ids are bytes, and as many further ids as a test wants to be longer pieces.

import type { Tokenizer } from '../../src/text/tokenizer.js';

/** Ids 0 … 255 are bytes; id 256 + i is `pieces[i]`. */
export function byteTokenizer(
  pieces: readonly string[] = [],
  special: readonly string[] = [],
): Pick<Tokenizer, 'bytes' | 'isSpecial'> {
  return {
    bytes: (id) => (id < 256 ? Uint8Array.of(id) : new TextEncoder().encode(pieces[id - 256] ?? '')),
    isSpecial: (id) => special.includes(pieces[id - 256] ?? ''),
  };
}
