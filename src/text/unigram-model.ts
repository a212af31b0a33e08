// What a tokenizer.json says of Unigram, checked: a list of tokens with their scores, whose places are the ids, and options.
// Knows nothing of how text becomes words.
// Reference: huggingface/tokenizers, src/models/unigram/serialization.rs.

import { shown } from '../errors.js';
import type { JsonPart } from './json-part.js';
import { checkLengths } from './prefix-search.js';
import { MAX_IDS } from './token-ids.js';
import type { TokenizerParts } from './tokenizer-parts.js';
import { Unigram } from './unigram.js';
import type { OpenWordModel } from './word-model.js';

/** @throws KvgenError that names the file, what was expected and what was found */
export function readUnigram({ vocab, model }: TokenizerParts): OpenWordModel {
  const { ids, tokens, scores } = readPieces(vocab);
  checkLengths(vocab, tokens);
  const unknown = model.at('unk_id');
  const unknownId = unknown.missing ? undefined : unknown.value;
  if (unknownId !== undefined && (typeof unknownId !== 'number' || tokens[unknownId] === undefined)) {
    throw unknown.wrong(`the id of a token, one of ${tokens.length}`);
  }
  const options = { unknownId, byteFallback: model.at('byte_fallback').flag(false) };
  return { ids, tokens, entries: tokens.length, model: new Unigram(ids, scores, options) };
}

/** Of tokens that are there twice, the last has the id that a text gets. */
function readPieces(vocab: JsonPart) {
  const { value } = vocab;
  if (!Array.isArray(value) || value.length > MAX_IDS) {
    throw vocab.wrong(`a list of at most ${MAX_IDS} tokens with their scores`);
  }
  const ids = new Map<string, number>();
  const tokens: string[] = [];
  const scores = new Float64Array(value.length);
  for (const [id, piece] of value.entries()) {
    const [token, score] = (Array.isArray(piece) ? piece : []) as unknown[];
    if (typeof token !== 'string' || typeof score !== 'number' || !Number.isFinite(score)) {
      throw vocab.broken(`expected a token and its score at ${id}, found ${shown(piece)}`);
    }
    ids.set(token, id);
    tokens.push(token);
    scores[id] = score;
  }
  return { ids, tokens, scores };
}
