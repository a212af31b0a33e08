// The tokens of a tokenizer by their ids, and their raw bytes. Knows nothing of how text becomes ids.

import type { Decoding } from './decoder.js';
import { bytesWithin } from './decoding-chain.js';
import { BYTE_CHARACTERS } from './pre-tokenizer.js';

/** All tokens as one text and two arrays, which another thread can hand over at once. */
export interface TokenList {
  readonly text: string;
  /** From an id to the end of its token in `text`; it begins where the one before ends. */
  readonly ends: Uint32Array<ArrayBuffer>;
  /** From an id to one of KIND. */
  readonly kinds: Uint8Array<ArrayBuffer>;
}

/** There is no token; its bytes are written as BYTE_CHARACTERS; its text is written as it is. */
const KIND = { none: 0, bytes: 1, text: 2 } as const;

/**
 * @param tokens of the vocabulary, by id; it may have holes
 * @param added tokens; they replace others
 */
export function listTokens(tokens: readonly string[], added: readonly { id: number; content: string }[]): TokenList {
  const size = added.reduce((most, { id }) => Math.max(most, id + 1), tokens.length);
  const kinds = new Uint8Array(size);
  const contents = new Map(added.map(({ id, content }) => [id, content]));
  const ends = new Uint32Array(size);
  const texts: string[] = [];
  for (let id = 0, end = 0; id < size; id++) {
    const content = contents.get(id);
    const text = content ?? tokens[id];
    if (text !== undefined) {
      kinds[id] = content === undefined ? KIND.bytes : KIND.text;
      texts.push(text);
      end += text.length;
    }
    ends[id] = end;
  }
  return { text: texts.join(''), ends, kinds };
}

export class Vocabulary {
  /** The highest id, plus 1. */
  readonly size: number;
  readonly #list: TokenList;
  readonly #decoding: Decoding | undefined;
  readonly #known = new Map<number, Uint8Array>(); // texts repeat their tokens

  /** @param decoding what makes a text of tokens; undefined: they are written as BYTE_CHARACTERS */
  constructor(list: TokenList, decoding?: Decoding | undefined) {
    this.size = list.kinds.length;
    this.#list = list;
    this.#decoding = decoding;
  }

  has(id: number): boolean {
    return (this.#list.kinds[id] ?? KIND.none) !== KIND.none;
  }

  /** As the vocabulary writes it; undefined: there is no token of this id. */
  token(id: number): string | undefined {
    return this.has(id) ? this.#text(id) : undefined;
  }

  #text(id: number): string {
    const { text, ends } = this.#list;
    return text.slice(ends[id - 1] ?? 0, ends[id] ?? 0);
  }

  /** As they are within a text; none for an id without a token. */
  bytes(id: number): Uint8Array {
    let bytes = this.#known.get(id);
    if (bytes === undefined) {
      bytes = this.#bytes(id);
      this.#known.set(id, bytes);
    }
    return bytes;
  }

  #bytes(id: number): Uint8Array {
    const token = this.#text(id);
    if (this.#decoding !== undefined) {
      return this.has(id) ? bytesWithin(this.#decoding, token) : new Uint8Array();
    }
    const isBytes = this.#list.kinds[id] === KIND.bytes;
    const bytes = isBytes ? Array.from(token, (character) => BYTES.get(character)) : [undefined];
    // A token with other characters than these stands for itself, as an added token does.
    return bytes.includes(undefined) ? new TextEncoder().encode(token) : Uint8Array.from(bytes as number[]);
  }
}

const BYTES = new Map(BYTE_CHARACTERS.map((character, byte) => [character, byte]));
