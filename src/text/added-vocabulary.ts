// The added tokens of a tokenizer: what its files say of them, checked, with their ids. Knows nothing of how they are found
// in a text.
// Reference: huggingface/tokenizers src/tokenizer/added_vocabulary.rs.

import { shown } from '../errors.js';
import type { AddedToken } from './added-tokens.js';
import type { JsonPart } from './json-part.js';
import { checkToken } from './token-ids.js';

/** A longer added token would make the search for it slow. */
const LONGEST_ADDED = 256;

/** The added tokens, whose ids and contents fit the vocabulary. */
export function readAdded(
  list: JsonPart,
  ids: ReadonlyMap<string, number>,
  tokens: readonly string[],
): readonly AddedToken[] {
  const added = new Map<number, AddedToken>();
  const contents: string[] = [];
  for (const part of list.missing ? [] : list.list()) {
    const token = readAddedToken(part);
    checkToken(part, token.content, token.id, tokens);
    checkToken(part, token.content, token.id, contents);
    const known = ids.get(token.content) ?? token.id;
    if (known !== token.id) {
      throw part.broken(`${shown(token.content)} has the id ${token.id} here, and ${known} in the vocabulary`);
    }
    contents[token.id] = token.content;
    if (token.content !== '') {
      added.set(token.id, token);
    }
  }
  return [...added.values()];
}

function readAddedToken(part: JsonPart): AddedToken {
  const content = part.at('content').text();
  if (content.length > LONGEST_ADDED) {
    throw part.unsupported(
      `an added token of ${content.length} characters, more than ${LONGEST_ADDED}, is not supported`,
    );
  }
  const special = part.at('special').flag(false);
  return {
    id: part.at('id').value as number, // checked with the others
    content,
    lstrip: part.at('lstrip').flag(false),
    rstrip: part.at('rstrip').flag(false),
    singleWord: part.at('single_word').flag(false),
    normalized: part.at('normalized').flag(!special),
  };
}
