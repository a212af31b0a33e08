// Turns ids into text as they arrive. The raw bytes of each token go into one streaming UTF-8 decoder, which holds back an
// unfinished character and nothing else. Broken bytes become U+FFFD, just as if all bytes were decoded together. Knows
// nothing of the vocabulary.
// Reference: the UTF-8 decoder of https://encoding.spec.whatwg.org/#utf-8-decoder

import type { Tokenizer } from './tokenizer.js';

const NOTHING: Uint8Array = new Uint8Array();

export class Detokenizer {
  readonly #tokenizer: Pick<Tokenizer, 'bytes'>;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true }); // or else a generated U+FEFF would be lost

  #tail = NOTHING;

  constructor(tokenizer: Pick<Tokenizer, 'bytes'>) {
    this.#tokenizer = tokenizer;
  }

  /** Is an unfinished character held back? */
  get holding(): boolean {
    return (
      this.#tail !== NOTHING &&
      [1, 2, 3].some((length) => length <= this.#tail.length && isUnfinished(this.#tail.slice(-length)))
    );
  }

  /** The text that this id completes; it may be empty. */
  add(id: number): string {
    const bytes = this.#tokenizer.bytes(id);
    const endsInAscii = (bytes.at(-1) ?? 0xff) < 0x80; // most tokens do, and then nothing is unfinished
    this.#tail = endsInAscii ? NOTHING : Uint8Array.of(...this.#tail, ...bytes).slice(-3); // it has at most 3 bytes
    return this.#decoder.decode(bytes, { stream: true });
  }

  /** Returns what is still held back, as U+FFFD; nothing if the text ends with a whole character. */
  finish(): string {
    this.#tail = NOTHING;
    return this.#decoder.decode();
  }
}

/** The whole text of these ids; empty without a tokenizer. */
export function decodeAll(tokenizer: Pick<Tokenizer, 'bytes'> | null, ids: readonly number[]): string {
  if (tokenizer === null) {
    return '';
  }
  const detokenizer = new Detokenizer(tokenizer);
  return ids.map((id) => detokenizer.add(id)).join('') + detokenizer.finish();
}

/** Are these the first bytes of a character whose lead byte announces more of them, and is none of them wrong? */
function isUnfinished(bytes: Uint8Array): boolean {
  const lead = bytes[0] as number;
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 0;
  if (bytes.length >= length) {
    return false;
  }
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}
