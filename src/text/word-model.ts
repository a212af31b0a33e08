// What turns one word into ids, whatever its method. Knows nothing of how a text is split into words.

export interface WordModel {
  /** What had no token and became the one for unknown text. Whoever encodes a text clears it first. */
  readonly unknown: Set<string>;
  /** The ids of a word. @throws UnknownCharacter where something has no token, and there is none for such */
  encode(word: string): readonly number[];
}

/** A model with its vocabulary. */
export interface OpenWordModel {
  readonly model: WordModel;
  /** From a token to its id. */
  readonly ids: ReadonlyMap<string, number>;
  /** From an id to its token; it may have holes. */
  readonly tokens: readonly string[];
  /** So many entries the vocabulary has, where a token may be there twice; undefined: one of each. */
  readonly entries?: number;
}

/** Of an unknown word, so much is told. */
const LONGEST_TOLD = 40;

/** The beginning of a word, for messages. */
export function told(word: string): string {
  return Array.from(word.slice(0, 2 * LONGEST_TOLD))
    .slice(0, LONGEST_TOLD)
    .join('');
}

/** A character of a word has no token, and the vocabulary has none for such characters. */
export class UnknownCharacter extends Error {
  readonly character: string;

  constructor(character: string) {
    super(`no token for ${character}`);
    this.character = character;
  }
}
