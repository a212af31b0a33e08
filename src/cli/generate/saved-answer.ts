// One finished text as the answer cache saves it, and whether what was read back has this form: a file can be whole and
// hold something else. Knows nothing of files.

import type { Completion, CompletionToken } from '../../completion/complete.js';
import type { TokenLogprob } from '../../sampling/logprobs.js';
import type { FinishedRun } from './samples.js';

export interface Answer
  extends Pick<Completion, 'tokens' | 'finishReason'>,
    Pick<FinishedRun, 'promptLogprobs' | 'seed' | 'engine'> {
  /** What the cache held in the end. */
  readonly positions: number;
  readonly bytes: number;
}

export function toAnswer({ completion, promptLogprobs, seed, engine }: FinishedRun): Answer {
  const { tokens, finishReason, stats } = completion;
  const { cachePositions: positions, cacheBytes: bytes } = stats;
  return { tokens, finishReason, promptLogprobs, seed, engine, positions, bytes };
}

/** @param samples how many texts were asked for */
export function isAnswers(found: unknown, samples: number): found is Answer[] {
  return Array.isArray(found) && found.length === samples && found.every(isAnswer);
}

function isAnswer(found: unknown): found is Answer {
  const { tokens, finishReason, promptLogprobs, seed, engine, positions, bytes } = Object(found);
  return (
    isListOf(tokens, isToken) &&
    ['stop', 'length', 'context'].includes(finishReason) &&
    (promptLogprobs === null || isListOf(promptLogprobs, isLogprob)) &&
    [seed, positions, bytes].every((n) => Number.isSafeInteger(n) && n >= 0) &&
    typeof engine === 'string'
  );
}

function isToken(found: unknown): found is CompletionToken {
  const { id, text } = Object(found);
  return isId(id) && typeof text === 'string' && isLogprob(found);
}

/** JSON has null for the logarithm of 0. */
function isLogprob(found: unknown): found is Partial<TokenLogprob> {
  const { logprob, top = [] } = Object(found);
  const isNumber = (value: unknown) => value == null || typeof value === 'number';
  return isNumber(logprob) && isListOf(top, (rival) => isId(Object(rival).id) && isNumber(Object(rival).logprob));
}

function isId(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isListOf(value: unknown, is: (one: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(is);
}
