// Ids to text as they arrive: token → raw bytes → one streaming UTF-8 decoder, which holds back an unfinished character and
// nothing else. A broken sequence becomes U+FFFD where a decode of all the bytes puts it. Knows no ids but through `bytes`.
// Reference: the UTF-8 decoder of https://encoding.spec.whatwg.org/#utf-8-decoder

import type { Tokenizer } from './tokenizer.js';

export class Detokenizer {
  readonly #tokenizer: Pick<Tokenizer, 'bytes'>;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true }); // else a generated U+FEFF would vanish

  #tail: Uint8Array = new Uint8Array();

  constructor(tokenizer: Pick<Tokenizer, 'bytes'>) {
    this.#tokenizer = tokenizer;
  }

  /** Is an unfinished character held back? */
  get holding(): boolean {
    return [1, 2, 3].some((length) => length <= this.#tail.length && isUnfinished(this.#tail.slice(-length)));
  }

  /** The text that this id completes; may be empty. */
  add(id: number): string {
    const bytes = this.#tokenizer.bytes(id);
    this.#tail = Uint8Array.of(...this.#tail, ...bytes.slice(-3)).slice(-3); // all that an unfinished character can be
    return this.#decoder.decode(bytes, { stream: true });
  }

  /** What is still held, as U+FFFD; empty if the text ends with a whole character. */
  finish(): string {
    this.#tail = new Uint8Array();
    return this.#decoder.decode();
  }
}

/** All the text of these ids; "" without a tokenizer. */
export function decodeAll(tokenizer: Pick<Tokenizer, 'bytes'> | null, ids: readonly number[]): string {
  if (tokenizer === null) {
    return '';
  }
  const detokenizer = new Detokenizer(tokenizer);
  return ids.map((id) => detokenizer.add(id)).join('') + detokenizer.finish();
}

/** A lead byte (which always begins a character of its own) and fewer bytes than it announces, none of them wrong. */
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
