// A conversation as JSON, and back: it may have been changed, or be of another model. Knows nothing of files.

import { KvgenError, shown } from '../errors.js';
import { decodeAll } from '../text/detokenizer.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { NOTHING_KNOWN } from './chat-prompt.js';
import type { ChatState } from './conversation.js';

/** @returns what JSON can hold */
export function stateToJson({ system, turns, known, ...counts }: ChatState): object {
  return { system: system ?? null, turns, ...counts, text: known.text, ids: known.ids };
}

/** @throws KvgenError that names what was expected and what was found */
export function stateFromJson(json: unknown): ChatState {
  const { system, turns, dropped, knownFrom, answers, text, ids } = Object(json);
  check('system', system, 'a text or null', system === null || typeof system === 'string');
  check('turns', turns, 'a list of turns', Array.isArray(turns) && turns.every(isTurn));
  for (const [name, value] of Object.entries({ dropped, knownFrom, answers })) {
    check(name, value, 'a count', isCount(value));
  }
  check('text', text, 'a text', typeof text === 'string');
  check('ids', ids, 'a list of ids', Array.isArray(ids) && ids.every(isCount));
  return { system: system ?? undefined, turns, dropped, knownFrom, answers, known: { text, ids } };
}

/**
 * A conversation as it goes on with this tokenizer: ids that do not stand for its text are forgotten, and the text is read
 * anew.
 */
export function withIdsOf(tokenizer: Tokenizer | null, state: ChatState): ChatState {
  const { text, ids } = state.known;
  const behind = tokenizer === null ? ids : ids.slice(tokenizer.around.before.length);
  const fits = tokenizer !== null && ids.every((id) => tokenizer.has(id));
  if (fits && [ids, behind].some((some) => decodeAll(tokenizer, some) === text)) {
    return state;
  }
  return { ...state, known: NOTHING_KNOWN, knownFrom: state.turns.length };
}

function isTurn(json: unknown): boolean {
  const { user, answer, tokens, characters } = Object(json);
  return [user, answer].every((text) => typeof text === 'string') && [tokens, characters].every(isCount);
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function check(name: string, value: unknown, expected: string, isRight: boolean): void {
  if (!isRight) {
    throw new KvgenError(`${name}: expected ${expected}, found ${shown(value)}`);
  }
}
