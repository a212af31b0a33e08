// A vocabulary that is an object of tokens and their ids, checked: no id twice, none too large. Knows nothing of models.

import { shown } from '../errors.js';
import type { JsonPart } from './json-part.js';

/** Ids are below it: four times the largest vocabularies that people have. */
export const MAX_IDS = 2 ** 20;

/** From a token to its id, and from an id to its token; it may have holes. @throws KvgenError for ids that are none */
export function readTokenIds(vocab: JsonPart) {
  const ids = new Map<string, number>();
  const tokens: string[] = [];
  const all = vocab.object();
  for (const token in all) {
    const id = all[token];
    checkToken(vocab, token, id, tokens);
    ids.set(token, id);
    tokens[id] = token;
  }
  return { ids, tokens };
}

/** @throws KvgenError for an id that is none, or that another token has */
function checkToken(
  part: JsonPart,
  token: string,
  id: unknown,
  tokens: readonly (string | undefined)[],
): asserts id is number {
  if (!isId(id)) {
    throw part.broken(`expected a token with an id in 0 … ${MAX_IDS - 1}, found ${shown(token)}: ${shown(id)}`);
  }
  const other = tokens[id];
  if (other !== undefined && other !== token) {
    throw part.broken(`${shown(other)} and ${shown(token)} have the same id ${id}`);
  }
}

/** @throws KvgenError for what is no id */
export function checkId(part: JsonPart): number {
  if (!isId(part.value)) {
    throw part.wrong(`an id in 0 … ${MAX_IDS - 1}`);
  }
  return part.value;
}

function isId(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < MAX_IDS;
}
