// The models of words that are computed, by the name that a tokenizer.json gives them; any other is refused by name. One
// that is added is a row of the table, and a file with its reader and its class. Knows nothing of their methods.

import { shown } from '../errors.js';
import { readBpe } from './bpe-model.js';
import type { TokenizerParts } from './tokenizer-parts.js';
import { readUnigram } from './unigram-model.js';
import { readWordLevel } from './word-level.js';
import type { OpenWordModel } from './word-model.js';
import { readWordPiece } from './wordpiece-model.js';

type Reader = (parts: TokenizerParts) => OpenWordModel;

/** By `model.type`. */
const WORD_MODELS = new Map<string, Reader>([
  ['BPE', readBpe],
  ['WordPiece', readWordPiece],
  ['Unigram', readUnigram],
  ['WordLevel', readWordLevel],
]);

/** @throws KvgenError that names the file, what was expected and what was found */
export function readWordModel(parts: TokenizerParts): OpenWordModel {
  const type = parts.model.at('type'); // the oldest files name none
  const name = type.missing ? 'BPE' : type.text();
  const read = WORD_MODELS.get(name);
  if (read === undefined) {
    throw type.unsupported(`expected a tokenizer of type ${[...WORD_MODELS.keys()].join(', ')}, got ${shown(name)}`);
  }
  return read(parts);
}
