// From settings and a prompt to a request: the prompt's ids in the context, the sampler, the limits. The library, the
// command and a line of a batch all take this way. Knows nothing of streams.

import { setImmediate } from 'node:timers/promises';
import { KvgenError } from '../errors.js';
import type { Drafter } from '../generation/drafts.js';
import { PromptLookup } from '../generation/prompt-lookup.js';
import type { SequenceOptions } from '../generation/sequence.js';
import type { ModelConfig } from '../model/config.js';
import type { TokenLogprob } from '../sampling/logprobs.js';
import { makeSampler, type Sampler } from '../sampling/sampler.js';
import type { GenerateArgs, TextSettings } from '../settings.js';
import { Detokenizer } from '../text/detokenizer.js';
import { prepareStops } from '../text/stop.js';
import type { EncodeOptions, Tokenizer } from '../text/tokenizer.js';
import { type EncodedText, encodePrompt, endIds, type TextModel } from './text-bounds.js';

/** The settings that a prompt is prepared for. */
export type PromptSettings = TextSettings & Pick<GenerateArgs, 'ctxSize' | 'truncatePrompt'>;

/** A prompt that fits the model. */
export interface Prompt {
  readonly ids: readonly number[];
  /** The whole prompt, with the part that did not fit. */
  readonly text: string;
  /** The end of the text that the next ids may still change, such as an unfinished character. A prompt given as text has none. */
  readonly held?: string;
  /** Ids that the context holds. */
  readonly nCtx: number;
  /** Ids that end an answer of a chat, besides those that end a text. */
  readonly turnEnds?: readonly number[] | undefined;
  /** Of its ids after the first, as a server told them before any text is made. */
  readonly logprobs?: readonly TokenLogprob[] | undefined;
}

/** A prompt leaves no room for a token in the context. */
export class PromptTooLong extends KvgenError {}

/** Where notes go, and what ends a long preparation. */
export interface Preparing extends EncodeOptions {
  readonly onNote: (line: string) => void;
  /** For what a person who looks closely should know. */
  readonly onDetail?: ((line: string) => void) | undefined;
}

/** How the caller's messages name things. */
interface PromptWords extends Preparing {
  readonly logitBias: string;
  /** What to do about a prompt that does not fit. */
  readonly advice: string;
  /** May it fill the context, since nothing is to follow (default: no)? */
  readonly mayFill?: boolean | undefined;
}

/**
 * The prompt's ids, checked against the model.
 * @param prompt a text, or ids
 * @throws KvgenError when they do not fit; what `signal` aborts with
 */
export async function preparePrompt(
  prompt: string | readonly number[],
  settings: PromptSettings,
  model: TextModel,
  { logitBias, advice, mayFill, onNote, onDetail, signal }: PromptWords,
): Promise<Prompt> {
  const { config, tokenizer } = model;
  await prepareStops(settings.stop, signal);
  const isText = typeof prompt === 'string';
  const encoded = isText
    ? await encodePrompt(prompt, model, { bos: settings.bos, onNote, onDetail, signal })
    : { before: [], ids: prompt };
  const nCtx = contextSize(settings.ctxSize, config);
  const kept = fitPrompt(encoded, nCtx, settings, { advice, onNote, mayFill });
  checkIds(kept, config);
  checkBias(logitBias, settings.logitBias, config);
  const text = isText ? { text: prompt } : await textOf(prompt, tokenizer, signal);
  return { ids: kept, ...text, nCtx };
}

/** Ids of a portion: between two of them signals are seen. */
const PORTION = 10_000;

/** The text of any number of ids; empty without a tokenizer. @throws what `signal` aborts with */
export async function textOf(ids: readonly number[], tokenizer: Tokenizer | null, signal: AbortSignal | undefined) {
  if (tokenizer === null) {
    return { text: '', held: '' };
  }
  const detokenizer = new Detokenizer(tokenizer);
  let text = '';
  for (const [i, id] of ids.entries()) {
    text += detokenizer.add(id);
    if (i % PORTION === PORTION - 1) {
      await setImmediate();
      signal?.throwIfAborted();
    }
  }
  const held = detokenizer.finish();
  return { text: text + held, held };
}

/** Everything that one text is made from. */
export interface CompletionRequest {
  readonly promptIds: readonly number[];
  readonly sampler: Sampler;
  /** The stop strings. */
  readonly stops: readonly string[];
  /** Are special tokens a part of the text? */
  readonly special: boolean;
  /** Does the text begin with what the prompt holds back? */
  readonly goesOn?: boolean | undefined;
  /** Each token comes with its log-probability and those of so many likeliest tokens; undefined: with none. */
  readonly logprobs: number | undefined;
  readonly options: SequenceOptions;
}

/** What a caller asks for besides the settings. */
export interface Wishes extends Pick<SequenceOptions, 'signal' | 'promptCache' | 'onPromptLogits' | 'onPrefill'> {
  /** Does the text begin with what the prompt holds back (default: no)? */
  readonly goesOn?: boolean | undefined;
  readonly logprobs?: number | undefined;
  /** Makes what guesses for --draft (default: the prompt lookup). */
  readonly drafter?: (() => Drafter) | undefined;
}

/** @param banned ids that must not be generated; see `idsWithoutToken` */
export function makeRequest(
  { ids, nCtx, turnEnds = [] }: Prompt,
  settings: TextSettings,
  seed: number,
  model: Pick<TextModel, 'config' | 'tokenizer'>,
  banned: readonly number[],
  { logprobs, goesOn = false, drafter = () => new PromptLookup(), ...wishes }: Wishes,
): CompletionRequest {
  const { ignoreEos, cache, onFull, stop, special, draft: most } = settings;
  const maxTokens = tokensWanted(settings);
  return {
    promptIds: ids,
    sampler: makeSampler(settings, seed, banned),
    stops: stop,
    special,
    goesOn,
    logprobs,
    options: {
      maxTokens,
      nCtx,
      stopIds: ignoreEos ? [] : [...endIds(model), ...turnEnds],
      cache,
      onFull,
      draft: most > 0 ? { most, drafter } : undefined,
      ...wishes,
    },
  };
}

/** Ids that the context holds. @throws KvgenError when `ctxSize` is more than the model has */
export function contextSize(ctxSize: number | undefined, { nPositions }: Pick<ModelConfig, 'nPositions'>): number {
  if (ctxSize !== undefined && ctxSize > nPositions) {
    throw new KvgenError(`--ctx-size ${ctxSize}: the model has ${nPositions} positions; give ${nPositions} or less`);
  }
  return ctxSize ?? Math.min(nPositions, MOST_BY_DEFAULT);
}

/** A context that nobody asked for is no longer than this: keys and values of 128k positions may not fit the memory. */
const MOST_BY_DEFAULT = 8192;

/** What a person is told whose model has more positions than the context holds; undefined: it has not, or they chose. */
export function contextNote(ctxSize: number | undefined, { nPositions }: ModelConfig): string | undefined {
  const isCut = ctxSize === undefined && nPositions > MOST_BY_DEFAULT;
  return isCut
    ? `the context holds ${MOST_BY_DEFAULT} tokens; the model has ${nPositions} positions, --ctx-size takes up to as many`
    : undefined;
}

/**
 * Makes room for new tokens in the context. What the tokenizer puts before a text stays.
 * @returns the ids that are kept
 * @throws KvgenError when the prompt does not fit and may not be cut
 */
export function fitPrompt(
  { before, ids }: EncodedText,
  nCtx: number,
  settings: Pick<PromptSettings, 'truncatePrompt' | 'maxTokens'>,
  { advice, onNote, mayFill = false }: Pick<PromptWords, 'advice' | 'onNote' | 'mayFill'>,
): readonly number[] {
  const length = before.length + ids.length;
  if (length < nCtx || (mayFill && length === nCtx)) {
    return [...before, ...ids];
  }
  const { truncatePrompt: drop } = settings;
  const keep = nCtx - Math.max(1, Math.min(tokensWanted(settings), Math.floor(nCtx / 2))) - before.length;
  if (drop === undefined || keep < 1) {
    throw new PromptTooLong(`the prompt has ${length} tokens and the context ${nCtx}: no room for one more; ${advice}`);
  }
  const part = drop === 'head' ? ids.slice(-keep) : ids.slice(0, keep);
  const kept = [...before, ...part];
  onNote(`the prompt is too long: dropped ${ids.length - keep} tokens of its ${drop}, kept ${kept.length}`);
  return kept;
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
