// A vocabulary of whole words: a word is a token, or unknown. Knows nothing of how a text is split into words.
// Reference: huggingface/tokenizers src/models/wordlevel.

import { readTokenIds } from './token-ids.js';
import type { TokenizerParts } from './tokenizer-parts.js';
import { type OpenWordModel, told, UnknownCharacter, type WordModel } from './word-model.js';

class WordLevel implements WordModel {
  readonly unknown = new Set<string>();
  readonly #ids: ReadonlyMap<string, number>;
  /** undefined: there is no token for unknown words. */
  readonly #unknownId: number | undefined;

  constructor(ids: ReadonlyMap<string, number>, unknownId: number | undefined) {
    this.#ids = ids;
    this.#unknownId = unknownId;
  }

  encode(word: string): readonly number[] {
    const id = this.#ids.get(word);
    if (id !== undefined || word === '') {
      return id === undefined ? [] : [id];
    }
    if (this.#unknownId === undefined) {
      throw new UnknownCharacter(told(word));
    }
    this.unknown.add(told(word));
    return [this.#unknownId];
  }
}

/** @throws KvgenError that names the file, what was expected and what was found */
export function readWordLevel({ vocab, model }: TokenizerParts): OpenWordModel {
  const { ids, tokens } = readTokenIds(vocab);
  const unknown = model.at('unk_token');
  return { ids, tokens, model: new WordLevel(ids, ids.get(unknown.missing ? '<unk>' : unknown.text())) };
}
