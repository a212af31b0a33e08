// Turns ids into text as they arrive. Where tokens are bytes, these go into one streaming UTF-8 decoder, which holds back an
// unfinished character and nothing else; broken bytes become U+FFFD, just as if all bytes were decoded together. Where a
// tokenizer has a decoder of other steps, each token goes through these. Knows nothing of the vocabulary.
// Reference: the UTF-8 decoder of https://encoding.spec.whatwg.org/#utf-8-decoder

import type { Decoding } from './decoder.js';
import { DecodingChain } from './decoding-chain.js';
import type { Tokenizer } from './tokenizer.js';

/** What tokens are written with. */
export type TokenTexts = Pick<Tokenizer, 'bytes'> & Partial<Pick<Tokenizer, 'decoding' | 'token' | 'isSpecial'>>;

/** Text that arrives with ids. */
interface TextOfIds {
  /** Is text held back that may still change? */
  readonly holding: boolean;
  /** The text that this id completes; it may be empty. */
  add(id: number): string;
  /** What was still held back. */
  finish(): string;
}

export class Detokenizer implements TextOfIds {
  readonly #text: TextOfIds;

  /**
   * @param before the ids whose text is already there: what is returned is what must be put behind it, so that both are
   *   the text of all ids
   * @param goesOn is what they hold back, such as an unfinished character, not there yet? Else bytes begin anew
   */
  constructor(tokenizer: TokenTexts, before: readonly number[] = [], goesOn = false) {
    const { decoding } = tokenizer;
    this.#text =
      decoding === undefined
        ? new BytesAsText(tokenizer, goesOn ? before : [])
        : new ChainAsText(tokenizer, decoding, before, goesOn);
  }

  get holding(): boolean {
    return this.#text.holding;
  }

  /** The text that this id completes; it may be empty. */
  add(id: number): string {
    return this.#text.add(id);
  }

  /** Returns what is still held back; bytes of an unfinished character as U+FFFD. */
  finish(): string {
    return this.#text.finish();
  }
}

/** The whole text of these ids; empty without a tokenizer. */
export function decodeAll(tokenizer: TokenTexts | null, ids: readonly number[]): string {
  if (tokenizer === null) {
    return '';
  }
  const detokenizer = new Detokenizer(tokenizer);
  return ids.map((id) => detokenizer.add(id)).join('') + detokenizer.finish();
}

/** A token as it is within a text. */
export function tokenText(tokenizer: Pick<Tokenizer, 'bytes'> | null, id: number): string {
  return tokenizer === null ? '' : new TextDecoder('utf-8', { ignoreBOM: true }).decode(tokenizer.bytes(id));
}

class ChainAsText implements TextOfIds {
  readonly #tokenizer: TokenTexts;
  readonly #chain: DecodingChain;
  /** Text that the ids before have shown, though it might still have changed. */
  #shown: string;

  constructor(tokenizer: TokenTexts, decoding: Decoding, before: readonly number[], goesOn: boolean) {
    this.#tokenizer = tokenizer;
    this.#chain = new DecodingChain(decoding);
    const all = before.map((id) => this.#push(this.#chain, id)).join('');
    this.#shown = '';
    if (this.#chain.holding && !goesOn) {
      const other = new DecodingChain(decoding);
      const shown = before.map((id) => this.#push(other, id)).join('') + other.end();
      this.#shown = shown.slice(all.length);
    }
  }

  get holding(): boolean {
    return this.#chain.holding;
  }

  add(id: number): string {
    return this.#new(this.#push(this.#chain, id));
  }

  finish(): string {
    return this.#new(this.#chain.end());
  }

  #push(chain: DecodingChain, id: number): string {
    const token = this.#tokenizer.token?.(id);
    return token === undefined ? '' : chain.push(token);
  }

  /** What of a text is not shown yet; a space that was shown may have gone since. */
  #new(text: string): string {
    let [i, j] = [0, 0];
    const shown = this.#shown;
    while (i < shown.length && j < text.length && (shown[i] === text[j] || shown[i] === ' ')) {
      j += shown[i] === text[j] ? 1 : 0;
      i++;
    }
    this.#shown = j < text.length ? '' : shown.slice(i);
    return text.slice(j);
  }
}

const NOTHING: Uint8Array = new Uint8Array();

class BytesAsText implements TextOfIds {
  readonly #tokenizer: Pick<Tokenizer, 'bytes'>;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true }); // or else a generated U+FEFF would be lost

  #tail = NOTHING;

  constructor(tokenizer: Pick<Tokenizer, 'bytes'>, before: readonly number[]) {
    this.#tokenizer = tokenizer;
    for (const id of before) {
      this.add(id);
    }
  }

  /** Is an unfinished character held back? */
  get holding(): boolean {
    return (
      this.#tail !== NOTHING &&
      [1, 2, 3].some((length) => length <= this.#tail.length && isUnfinished(this.#tail.slice(-length)))
    );
  }

  add(id: number): string {
    const bytes = this.#tokenizer.bytes(id);
    const endsInAscii = (bytes.at(-1) ?? 0xff) < 0x80; // most tokens do, and then nothing is unfinished
    this.#tail = endsInAscii ? NOTHING : Uint8Array.of(...this.#tail, ...bytes).slice(-3); // it has at most 3 bytes
    return this.#decoder.decode(bytes, { stream: true });
  }

  finish(): string {
    this.#tail = NOTHING;
    return this.#decoder.decode();
  }
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
