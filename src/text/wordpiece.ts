// WordPiece: a word becomes the longest token that it begins with, then the longest that goes on from there, and so on; a
// word for which that fails is unknown as a whole. Knows nothing of how a text is split into words.
// References: Devlin et al. 2018; huggingface/tokenizers src/models/wordpiece.

import { PrefixSearch } from './prefix-search.js';
import { told, UnknownCharacter, type WordModel } from './word-model.js';

export interface WordPieceOptions {
  /** What tokens begin with that go on within a word: `##`. */
  readonly prefix: string;
  /** A word of more characters is unknown. */
  readonly maxCharacters: number;
  /** undefined: there is no token for unknown words. */
  readonly unknownId: number | undefined;
}

export class WordPiece implements WordModel {
  /** Words that were unknown. */
  readonly unknown = new Set<string>();
  readonly #ids: ReadonlyMap<string, number>;
  readonly #options: WordPieceOptions;
  readonly #first: PrefixSearch;
  /** Without their prefix. */
  readonly #further: PrefixSearch;

  constructor(ids: ReadonlyMap<string, number>, options: WordPieceOptions) {
    const { prefix } = options;
    const further = [...ids.keys()]
      .filter((token) => token.startsWith(prefix))
      .map((token) => token.slice(prefix.length));
    this.#ids = ids;
    this.#options = options;
    this.#first = new PrefixSearch(ids.keys());
    this.#further = new PrefixSearch(further);
  }

  encode(word: string): readonly number[] {
    const { maxCharacters, unknownId } = this.#options;
    const isLong = word.length > maxCharacters && Array.from(word).length > maxCharacters;
    const ids = isLong ? undefined : this.#pieces(word);
    if (ids !== undefined) {
      return ids;
    }
    if (unknownId === undefined) {
      throw new UnknownCharacter(told(word));
    }
    this.unknown.add(told(word));
    return [unknownId];
  }

  /** undefined: some part of the word has no token. */
  #pieces(word: string): number[] | undefined {
    const ids: number[] = [];
    for (let start = 0; start < word.length; ) {
      let longest = '';
      for (const token of (start === 0 ? this.#first : this.#further).at(word, start)) {
        longest = token;
      }
      if (longest === '') {
        return undefined;
      }
      ids.push(this.#ids.get(start === 0 ? longest : this.#options.prefix + longest) as number);
      start += longest.length;
    }
    return ids;
  }
}
