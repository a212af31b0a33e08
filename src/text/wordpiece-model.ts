// What a tokenizer.json says of WordPiece, checked: vocabulary and options. Knows nothing of how text becomes words.
// Reference: huggingface/tokenizers, src/models/wordpiece/serialization.rs.

import { checkLengths } from './prefix-search.js';
import { readTokenIds } from './token-ids.js';
import type { TokenizerParts } from './tokenizer-parts.js';
import type { OpenWordModel } from './word-model.js';
import { WordPiece } from './wordpiece.js';

/** @throws KvgenError that names the file, what was expected and what was found */
export function readWordPiece({ vocab, model }: TokenizerParts): OpenWordModel {
  const { ids, tokens } = readTokenIds(vocab);
  checkLengths(vocab, tokens);
  const prefix = model.at('continuing_subword_prefix');
  const unknown = model.at('unk_token');
  const most = model.at('max_input_chars_per_word');
  const maxCharacters = most.missing ? 100 : most.value;
  if (typeof maxCharacters !== 'number' || !Number.isInteger(maxCharacters) || maxCharacters < 0) {
    throw most.wrong('a number of characters');
  }
  const options = {
    prefix: prefix.missing ? '##' : prefix.text(),
    maxCharacters,
    unknownId: ids.get(unknown.missing ? '[UNK]' : unknown.text()),
  };
  return { ids, tokens, model: new WordPiece(ids, options) };
}
