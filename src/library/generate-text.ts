// `generate` of the library: what `kvgen generate` does, as a generator with options in camelCase. Knows nothing of
// disks or streams.

import { inspect } from 'node:util';
import { type Completion, type CompletionToken, complete } from '../completion/complete.js';
import { idsWithoutToken, makeRequest, preparePrompt } from '../completion/request.js';
import { checkSameTokens, drafterOf } from '../completion/same-tokens.js';
import { KvgenError } from '../errors.js';
import { NOTHING_MEASURED } from '../generation/sequence.js';
import { randomSeed } from '../sampling/random.js';
import { type GenerateOptions, readOptions } from './library-options.js';
import { Model } from './model.js';

/** A finished text: why it ended, what was measured, and the ids and the seed that would give it again. */
export interface Generation extends Completion {
  readonly promptIds: readonly number[];
  readonly seed: number;
}

/**
 * Generates text. Options and prompt are checked when the first token is asked for.
 * @param model as `loadModel` gave it; any number of generations may run on it
 * @param prompt a text, or token ids (a folder without a tokenizer takes only these; all texts are then empty)
 * @yields each token with the text that it released: joined, they are the text
 * @returns the whole text, why it ended (`abort` when the signal did it, which is no error), times and the cache's use
 * @throws Error with one line that names the option or the prompt, what was expected and what was found
 * @example
 * for await (const { text } of generate(model, 'Once upon a time', { maxTokens: 40 })) process.stdout.write(text);
 */
export async function* generate(
  model: Model,
  prompt: string | readonly number[],
  options: GenerateOptions = {},
): AsyncGenerator<CompletionToken, Generation> {
  const settings = readOptions(options);
  const { seed = randomSeed() } = settings;
  if (!(model instanceof Model)) {
    throw new KvgenError('generate: expected a model that loadModel gave');
  }
  if (model.tokenizer === null && settings.stop.length > 0) {
    throw new KvgenError(`${model.dir}: stop needs a tokenizer`);
  }
  const { signal, draftModel = null } = options;
  const words = { logitBias: 'logitBias', advice: 'shorten it', onNote: () => {}, signal };
  const fitting = await preparePrompt(checkPrompt(prompt), settings, model, words).catch(unlessAborted(signal));
  if (fitting === null) {
    return { finishReason: 'abort', stats: NOTHING_MEASURED, text: '', tokens: [], promptIds: [], seed };
  }
  const banned = idsWithoutToken(model.tokenizer, model.config);
  if (draftModel !== null) {
    checkSameTokens(model, draftModel, 'draftModel');
  }
  const drafter = drafterOf(draftModel?.engine ?? null, model.engine);
  const wishes = { logprobs: settings.logprobs, signal, drafter };
  const request = makeRequest(fitting, settings, seed, model, banned, wishes);
  const completion = yield* complete(model.engine, model.tokenizer, request);
  return { ...completion, promptIds: fitting.ids, seed };
}

/** An error is none where the signal made it: null. */
function unlessAborted(signal: AbortSignal | undefined): (error: unknown) => null {
  return (error) => {
    if (signal?.aborted) {
      return null;
    }
    throw error;
  };
}

function checkPrompt(prompt: string | readonly number[]): string | readonly number[] {
  if (typeof prompt !== 'string' && !Array.isArray(prompt)) {
    throw new KvgenError(`prompt: expected a text or a list of token ids, got ${inspect(prompt)}`);
  }
  return prompt;
}
