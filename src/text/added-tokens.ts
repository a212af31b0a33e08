// Finds added tokens in a text, such as `<|endoftext|>`. They are found before anything is split or merged: from left to
// right, the longest that begins at a place. Knows nothing of the vocabulary.
// Reference: `find_matches` of huggingface/tokenizers src/tokenizer/added_vocabulary.rs.

import { skipSpace, skipSpaceBack } from './white-space.js';

export interface AddedToken {
  readonly id: number;
  /** Not empty. */
  readonly content: string;
  /** It takes the white space before it. */
  readonly lstrip: boolean;
  /** It takes the white space behind it. */
  readonly rstrip: boolean;
  /** It counts only where no word goes on at either of its ends. */
  readonly singleWord: boolean;
  /** It is looked for in the normalized text. */
  readonly normalized: boolean;
  /** It says something about a text, as where it ends, and is not shown with it. */
  readonly special: boolean;
  /** Where it is found, the text stays a text. */
  readonly isSkipped?: boolean;
}

/** A character of a word, as \w is in Rust. */
const WORD = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;

export class AddedTokens {
  /** In the order of their UTF-16 units, so that those with a common beginning are neighbours. */
  readonly #tokens: readonly AddedToken[];
  /** From a first unit to the part of #tokens that begins with it. */
  readonly #parts = new Map<number, { low: number; high: number }>();

  constructor(tokens: readonly AddedToken[]) {
    this.#tokens = tokens.toSorted((a, b) => (a.content < b.content ? -1 : 1));
    for (const [i, { content }] of this.#tokens.entries()) {
      const part = this.#parts.get(content.charCodeAt(0)) ?? { low: i, high: i };
      this.#parts.set(content.charCodeAt(0), { ...part, high: i + 1 });
    }
  }

  /** @yields in the order of the text, the ids of added tokens and the texts between them, none of them empty */
  *split(text: string): Generator<number | string, void> {
    let done = 0;
    for (let i = 0; i < text.length; i++) {
      const token = this.#longestAt(text, i);
      if (token === undefined) {
        continue;
      }
      const end = i + token.content.length;
      if (!token.isSkipped && (!token.singleWord || isWholeWord(text, i, end))) {
        const start = token.lstrip ? Math.max(skipSpaceBack(text, i), done) : i;
        if (start > done) {
          yield text.slice(done, start);
        }
        yield token.id;
        done = token.rstrip ? skipSpace(text, end) : end;
      }
      i = end - 1;
    }
    if (done < text.length) {
      yield text.slice(done);
    }
  }

  #longestAt(text: string, start: number): AddedToken | undefined {
    let longest: AddedToken | undefined;
    let { low, high } = this.#parts.get(text.charCodeAt(start)) ?? { low: 0, high: 0 };
    for (let length = 1; low < high; length++) {
      const first = this.#tokens[low] as AddedToken; // the shortest of those that begin as the text does
      longest = first.content.length === length ? first : longest;
      const unit = text.charCodeAt(start + length); // NaN at the end, which no token has
      low = this.#firstFrom(low, high, length, unit);
      high = this.#firstFrom(low, high, length, unit + 1);
    }
    return longest;
  }

  /** By bisection: the first token of a part whose unit at `index` is at least `unit`. */
  #firstFrom(low: number, high: number, index: number, unit: number): number {
    let [from, to] = [low, high];
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((this.#tokens[middle] as AddedToken).content.charCodeAt(index) >= unit) {
        to = middle;
      } else {
        from = middle + 1;
      }
    }
    return from;
  }
}

function isWholeWord(text: string, start: number, end: number): boolean {
  const before = Array.from(text.slice(Math.max(0, start - 2), start)).at(-1) ?? '';
  const after = String.fromCodePoint(text.codePointAt(end) ?? 0x20);
  return !WORD.test(before) && !WORD.test(after);
}
