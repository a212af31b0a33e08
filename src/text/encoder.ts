// The way of a text to its ids: added tokens are found, what is between them is normalized and split into words, and the
// model gives the ids of each. Knows nothing of how any of them does it.

import { errorMessage, KvgenError, shown } from '../errors.js';
import { type AddedToken, AddedTokens } from './added-tokens.js';
import type { Normalizer } from './normalizer.js';
import { BYTE_CHARACTERS, type PreTokenizer } from './pre-tokenizer.js';
import { UnknownCharacter, type WordModel } from './word-model.js';

/** The ids of a text. */
export interface Encoded {
  readonly ids: number[];
  /** What had no token and became the id for such, as words such as `the byte 0xC3`; undefined: nothing had none. */
  readonly unknown: string | undefined;
}

/** Added tokens are found first: those that are not normalized in the text, then the others in each normalized part. */
export class Encoder {
  readonly #path: string;
  readonly #normalizer: Normalizer;
  readonly #preTokenizer: PreTokenizer;
  readonly #model: WordModel;
  /** Does the part that is being encoded begin behind the first character of its text? */
  #isTrimmed = false;
  readonly #plain: AddedTokens;
  readonly #normalized: AddedTokens;

  constructor(
    path: string,
    added: readonly AddedToken[],
    normalizer: Normalizer,
    preTokenizer: PreTokenizer,
    model: WordModel,
  ) {
    this.#path = path;
    this.#normalizer = normalizer;
    this.#preTokenizer = preTokenizer;
    this.#model = model;
    const normalized = added.filter((token) => token.normalized);
    const contents = normalized.map((token) => ({ ...token, content: normalizer.normalize(token.content) }));
    this.#plain = new AddedTokens(added.filter((token) => !token.normalized));
    this.#normalized = new AddedTokens(contents.filter(({ content }) => content !== ''));
  }

  encode(text: string): Encoded {
    const ids: number[] = [];
    this.#model.unknown.clear();
    try {
      for (const part of this.#parts(text.replace(/\p{Surrogate}/gu, '\ufffd'))) {
        this.#encodePart(part, ids);
      }
    } catch (error) {
      throw this.#inWords(error);
    }
    return { ids, unknown: this.#namesOf(this.#model.unknown) };
  }

  /** The ids of added tokens, and the normalized texts between them. */
  *#parts(text: string): Generator<number | string, void> {
    this.#isTrimmed = false;
    for (const part of this.#plain.split(text)) {
      if (typeof part === 'number') {
        yield part;
      } else {
        this.#isTrimmed = this.#preTokenizer.minds && this.#normalizer.trims(part);
        yield* this.#normalized.split(this.#normalizer.normalize(part));
      }
    }
  }

  #encodePart(part: number | string, ids: number[]): void {
    if (typeof part === 'number') {
      ids.push(part);
      return;
    }
    for (const word of this.#preTokenizer.words(part, ids.length === 0 && !this.#isTrimmed)) {
      for (const id of this.#model.encode(word)) {
        ids.push(id);
      }
    }
  }

  /** What a person is told; memory may be too small, for one. */
  #inWords(error: unknown): KvgenError {
    if (error instanceof KvgenError) {
      return error;
    }
    if (error instanceof UnknownCharacter) {
      const what = `no token for ${this.#nameOf(error.character)} of the text`;
      return new KvgenError(`${this.#path}: ${what}, and none for unknown text; leave it out`);
    }
    return new KvgenError(`${this.#path}: the text cannot be turned into ids (${errorMessage(error)})`);
  }

  #nameOf(character: string): string {
    const byte = this.#preTokenizer.writesBytes ? BYTE_CHARACTERS.indexOf(character) : -1;
    return byte < 0 ? shown(character) : `the byte 0x${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }

  #namesOf([first, ...others]: Iterable<string>): string | undefined {
    if (first === undefined) {
      return undefined;
    }
    const more = others.length === 0 ? '' : ` and ${others.length} more`;
    return this.#nameOf(first) + more;
  }
}
