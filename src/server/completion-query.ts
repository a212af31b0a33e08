// The parameters of /v1/completions. Knows nothing of HTTP or of how it is answered.

import { shown } from '../errors.js';
import { flag, integer } from '../kinds.js';
import { wrongParameter } from './api-error.js';
import type { JsonObject } from './json-body.js';
import { notDone, readParameters, setting } from './parameters.js';
import { MAX_TOP, SHARED_PARAMETERS, type TextQuery, textQuery } from './text-query.js';

/** Texts of all prompts of a request together. */
const MAX_TEXTS = 1024;
/** Where a request does not say, as with OpenAI. */
const DEFAULT_TOKENS = 16;

const PARAMETERS = {
  ...SHARED_PARAMETERS,
  prompt: readPrompts,
  best_of: setting(integer({ min: 1 })),
  echo: setting(flag),
  logprobs: setting(integer({ min: 0, max: MAX_TOP })),
  add_special_tokens: setting(flag),
  suffix: notDone('not done: kvgen writes at the end of a text', ['']),
} as const;

/** A text, or ids. */
export type GivenPrompt = string | readonly number[];

export interface CompletionQuery extends TextQuery {
  readonly prompts: readonly GivenPrompt[];
}

/** @param draft how many ids are guessed @throws ApiError that names the parameter */
export function readCompletionQuery(json: JsonObject, draft: number): CompletionQuery {
  const given = readParameters(PARAMETERS, json);
  const { prompt: prompts, n = 1, best_of: bestOf = n } = given;
  if (prompts === undefined) {
    throw wrongParameter('prompt', 'prompt: expected a text, token ids, or a list of either, found nothing');
  }
  if (bestOf !== n) {
    throw wrongParameter('best_of', `best_of ${bestOf}: not done beyond n, which is ${n}`, 'unsupported_parameter');
  }
  if (prompts.length * n > MAX_TEXTS) {
    const found = `${prompts.length} prompts with n ${n}`;
    throw wrongParameter('prompt', `prompt: expected at most ${MAX_TEXTS} texts in a request, found ${found}`);
  }
  const own = {
    maxTokens: given.max_tokens ?? DEFAULT_TOKENS,
    logprobs: given.logprobs,
    bos: given.add_special_tokens ?? true,
    echo: given.echo ?? false,
  };
  return { ...textQuery(given, own, draft), prompts };
}

function readPrompts(json: unknown, name: string): readonly GivenPrompt[] {
  if (typeof json === 'string' || isIds(json)) {
    return [json];
  }
  if (Array.isArray(json) && json.length > 0 && (json.every(isText) || json.every(isIds))) {
    return json;
  }
  throw wrongParameter(name, `${name}: expected a text, token ids, or a list of either, found ${shown(json)}`);
}

function isText(json: unknown): json is string {
  return typeof json === 'string';
}

function isIds(json: unknown): json is readonly number[] {
  return Array.isArray(json) && json.length > 0 && json.every((id) => Number.isSafeInteger(id) && id >= 0);
}
