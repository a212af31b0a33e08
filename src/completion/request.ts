// From settings and a prompt to a request: the prompt's ids in the context, the sampler, the limits. The library, the
// command and a line of a batch all take this way. Knows nothing of streams.

import { setImmediate } from 'node:timers/promises';
import { KvgenError } from '../errors.js';
import type { Drafter } from '../generation/drafts.js';
import { PromptLookup } from '../generation/prompt-lookup.js';
import type { SequenceOptions } from '../generation/sequence.js';
import type { ModelConfig } from '../model/config.js';
import { makeSampler, type Sampler } from '../sampling/sampler.js';
import type { GenerateArgs, TextSettings } from '../settings.js';
import { Detokenizer, decodeAll } from '../text/detokenizer.js';
import { prepareStops } from '../text/stop.js';
import type { EncodeOptions, Tokenizer } from '../text/tokenizer.js';

/** What this room needs to know of a model. */
export interface TextModel {
  /** Its folder, which messages name. */
  readonly dir: string;
  readonly config: ModelConfig;
  /** null: the model has none; it takes ids and gives no text. */
  readonly tokenizer: Tokenizer | null;
}

/** The settings that a prompt is prepared for. */
export type PromptSettings = TextSettings & Pick<GenerateArgs, 'ctxSize' | 'truncatePrompt'>;

/** A prompt that fits the model. */
export interface Prompt {
  readonly ids: readonly number[];
  /** The whole prompt, with the part that did not fit. */
  readonly text: string;
  /** Ids that the context holds. */
  readonly nCtx: number;
}

/** Where notes go, and what ends a long preparation. */
export interface Preparing extends EncodeOptions {
  readonly onNote: (line: string) => void;
}

/** How the caller's messages name things. */
interface PromptWords extends Preparing {
  readonly logitBias: string;
  /** What to do about a prompt that does not fit. */
  readonly advice: string;
}

/**
 * The prompt's ids, checked against the model.
 * @param prompt a text, or ids
 * @throws KvgenError when they do not fit; what `signal` aborts with
 */
export async function preparePrompt(
  prompt: string | readonly number[],
  settings: PromptSettings,
  { dir, config, tokenizer }: TextModel,
  { logitBias, advice, onNote, signal }: PromptWords,
): Promise<Prompt> {
  await prepareStops(settings.stop, signal);
  const isText = typeof prompt === 'string';
  const ids = isText ? await encodePrompt(prompt, tokenizer, dir, { onNote, signal }) : prompt;
  const nCtx = contextSize(settings.ctxSize, config);
  const { kept, dropped } = fitPrompt(ids, nCtx, settings, advice);
  if (dropped > 0) {
    onNote(`the prompt is too long: dropped ${dropped} tokens of its ${settings.truncatePrompt}, kept ${kept.length}`);
  }
  checkIds(kept, config);
  checkBias(logitBias, settings.logitBias, config);
  return { ids: kept, text: isText ? prompt : await textOf(ids, tokenizer, signal), nCtx };
}

/** Ids of a portion: between two of them signals are seen. */
const PORTION = 10_000;

/** The text of any number of ids; empty without a tokenizer. @throws what `signal` aborts with */
async function textOf(ids: readonly number[], tokenizer: Tokenizer | null, signal: AbortSignal | undefined) {
  if (tokenizer === null || ids.length <= PORTION) {
    return decodeAll(tokenizer, ids);
  }
  const detokenizer = new Detokenizer(tokenizer);
  let text = '';
  for (const [i, id] of ids.entries()) {
    text += detokenizer.add(id);
    if (i % PORTION === 0) {
      await setImmediate();
      signal?.throwIfAborted();
    }
  }
  return text + detokenizer.finish();
}

/** Everything that one text is made from. */
export interface CompletionRequest {
  readonly promptIds: readonly number[];
  readonly sampler: Sampler;
  /** The stop strings. */
  readonly stops: readonly string[];
  /** Each token comes with its log-probability and those of so many likeliest tokens; undefined: with none. */
  readonly logprobs: number | undefined;
  readonly options: SequenceOptions;
}

/** What a caller asks for besides the settings. */
export interface Wishes extends Pick<SequenceOptions, 'signal' | 'promptCache' | 'onPromptLogits' | 'onPrefill'> {
  readonly logprobs?: number | undefined;
  /** Makes what guesses for --draft (default: the prompt lookup). */
  readonly drafter?: (() => Drafter) | undefined;
}

/** @param banned ids that must not be generated; see `idsWithoutToken` */
export function makeRequest(
  { ids, nCtx }: Prompt,
  settings: TextSettings,
  seed: number,
  { eosTokenIds }: ModelConfig,
  banned: readonly number[],
  { logprobs, drafter = () => new PromptLookup(), ...wishes }: Wishes,
): CompletionRequest {
  const { ignoreEos, cache, onFull, stop, draft: most } = settings;
  const maxTokens = tokensWanted(settings);
  return {
    promptIds: ids,
    sampler: makeSampler(settings, seed, banned),
    stops: stop,
    logprobs,
    options: {
      maxTokens,
      nCtx,
      stopIds: ignoreEos ? [] : eosTokenIds,
      cache,
      onFull,
      draft: most > 0 ? { most, drafter } : undefined,
      ...wishes,
    },
  };
}

/** The ids of a text; an empty prompt becomes the end-of-text token. @throws KvgenError where there is no such token */
export async function encodePrompt(
  text: string,
  tokenizer: Tokenizer | null,
  dir: string,
  options: EncodeOptions = {},
): Promise<readonly number[]> {
  if (tokenizer === null) {
    throw new KvgenError(`${dir}: no tokenizer: expected the prompt as token ids`);
  }
  const ids = await tokenizer.encode(text, options);
  if (ids.length > 0) {
    return ids;
  }
  if (tokenizer.eosId === undefined) {
    throw new KvgenError(
      `${dir}: an empty prompt needs an end-of-text token and the tokenizer has none; give a prompt`,
    );
  }
  return [tokenizer.eosId];
}

/** Ids that the context holds. @throws KvgenError when `ctxSize` is more than the model has */
export function contextSize(ctxSize: number | undefined, { nPositions }: ModelConfig): number {
  if (ctxSize !== undefined && ctxSize > nPositions) {
    throw new KvgenError(`--ctx-size ${ctxSize}: the model has ${nPositions} positions; give ${nPositions} or less`);
  }
  return ctxSize ?? nPositions;
}

/** Makes room for new tokens in the context. @throws KvgenError when the prompt does not fit and may not be cut */
function fitPrompt(ids: readonly number[], nCtx: number, settings: PromptSettings, advice: string) {
  if (ids.length < nCtx) {
    return { kept: ids, dropped: 0 };
  }
  const { truncatePrompt: drop } = settings;
  const keep = nCtx - Math.max(1, Math.min(tokensWanted(settings), Math.floor(nCtx / 2)));
  if (drop === undefined || keep < 1) {
    throw new KvgenError(
      `the prompt has ${ids.length} tokens and the context ${nCtx}: no room for one more; ${advice}`,
    );
  }
  return { kept: drop === 'head' ? ids.slice(-keep) : ids.slice(0, keep), dropped: ids.length - keep };
}

function tokensWanted({ maxTokens }: Pick<TextSettings, 'maxTokens'>): number {
  return maxTokens === -1 ? Number.POSITIVE_INFINITY : maxTokens;
}

/** @throws KvgenError when the model has no such id, or no position for it */
export function checkIds(ids: readonly number[], config: ModelConfig): void {
  if (ids.length === 0 || ids.length > config.nPositions) {
    throw new KvgenError(`expected 1 … ${config.nPositions} token ids, found ${ids.length}`);
  }
  checkVocabulary(ids, config);
}

/** @throws KvgenError when the model has no such id: a tokenizer may know more ids than its model */
export function checkVocabulary(ids: readonly number[], { vocabSize }: ModelConfig): void {
  for (const id of ids) {
    if (!Number.isInteger(id) || id < 0 || id >= vocabSize) {
      throw new KvgenError(`token id ${id}: expected a whole number from 0 to ${vocabSize - 1} (vocab_size − 1)`);
    }
  }
}

/** @throws KvgenError for a bias that could have no effect */
function checkBias(name: string, logitBias: ReadonlyMap<number, number>, { vocabSize }: ModelConfig): void {
  const bad = [...logitBias.keys()].find((id) => id >= vocabSize);
  if (bad !== undefined) {
    throw new KvgenError(`${name} ${bad}: the model's token ids end at ${vocabSize - 1}`);
  }
}

/** Ids without a token: they only fill up the vocabulary, and must not be generated. */
export function idsWithoutToken(tokenizer: Pick<Tokenizer, 'has'> | null, { vocabSize }: ModelConfig): number[] {
  const ids = Array.from({ length: vocabSize }, (_, id) => id);
  return tokenizer === null ? [] : ids.filter((id) => !tokenizer.has(id));
}
