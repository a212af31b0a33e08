// What one event of a stream says of a text, or a whole answer at once: pieces of text, ids, log-probabilities in either of the
// two shapes that servers have, why it ended, what was counted. Knows nothing of streams.

import { KvgenError, shown } from '../errors.js';
import { reasonOf } from './remote-errors.js';

/** A token as a server tells it. */
export interface ToldToken {
  /** NaN: the server does not say. */
  readonly id: number;
  readonly text?: string;
  readonly bytes?: readonly number[];
  readonly logprob?: number;
  readonly top?: readonly ToldRival[];
}

/** One of the likeliest tokens at a place. */
export interface ToldRival {
  /** NaN: the server does not say. */
  readonly id: number;
  readonly logprob: number;
  readonly text?: string;
  readonly bytes?: readonly number[];
}

export interface AnswerPart {
  readonly text: string;
  /** null: the server does not say which tokens the text is made of. */
  readonly tokens: readonly ToldToken[] | null;
  /** Are these all tokens, each with its id? */
  readonly areAllIds: boolean;
  /** undefined: the text goes on. */
  readonly finishReason: string | undefined;
  /** The stop string that ended the text, or null at its end; undefined: the server does not say. */
  readonly stopReason: unknown;
}

/** What was counted in all; undefined: not reported. */
export interface Counts {
  readonly promptTokens?: number;
  readonly generationTokens?: number;
  readonly reusedTokens?: number;
}

/** @throws KvgenError for an error within a stream, and for what is no answer */
export function partOf(json: unknown, server: string): AnswerPart | null {
  const { error, choices } = Object(json);
  if (error !== undefined && error !== null) {
    throw new KvgenError(`${server}: ${reasonOf(json)}`);
  }
  if (!Array.isArray(choices)) {
    throw new KvgenError(`${server}: expected choices in its answer, found ${shown(json)}`);
  }
  const choice = choices.map(Object).find(({ index = 0 }) => index === 0); // one was asked for
  return choice === undefined ? null : choicePart(choice, server);
}

/** Reasons that some servers have other words for. */
const SYNONYMS: Readonly<Record<string, string>> = {
  eos: 'stop',
  eos_token: 'stop',
  stop_sequence: 'stop',
  max_tokens: 'length',
};

function choicePart(choice: Readonly<Record<string, unknown>>, server: string): AnswerPart {
  const { text: found, logprobs, token_ids: ids, finish_reason: finish, stop_reason: stopReason } = choice;
  const text = found ?? '';
  if (typeof text !== 'string') {
    throw new KvgenError(`${server}: expected a text in its answer, found ${shown(text)}`);
  }
  const told = toldTokens(logprobs);
  const areAllIds = isListOf(ids, isCount);
  const tokens = areAllIds ? ids.map((id, i) => ({ ...told?.[i], id })) : told;
  const finishReason = typeof finish === 'string' && finish !== '' ? (SYNONYMS[finish] ?? finish) : undefined;
  return { text, tokens, areAllIds, finishReason, stopReason };
}

/** null: there are none. */
export function toldTokens(logprobs: unknown): ToldToken[] | null {
  const { content, tokens } = Object(logprobs);
  if (Array.isArray(content)) {
    return content.map(ofContent);
  }
  return Array.isArray(tokens) ? legacyTokens(Object(logprobs)) : null;
}

/** The newer shape: `{"id", "token", "bytes", "logprob", "top_logprobs": […]}`. */
function ofContent(json: unknown): ToldToken {
  const { top_logprobs: top } = Object(json);
  const rivals = Array.isArray(top) ? top.map(toldRival).filter(({ logprob }) => !Number.isNaN(logprob)) : undefined;
  const { logprob, ...token } = toldRival(json);
  const own = rivals?.find(({ id, bytes }) => id === token.id && (bytes?.length ?? 0) > 0);
  const held = token.bytes?.length === 0 ? own?.bytes : undefined; // where a stop string may begin, the token comes without
  return {
    ...token,
    ...(held !== undefined && { bytes: held }),
    ...(Number.isNaN(logprob) ? {} : { logprob }),
    ...(rivals !== undefined && { top: rivals }),
  };
}

function toldRival(json: unknown): ToldRival {
  const { id, token, bytes, logprob } = Object(json);
  return {
    id: isCount(id) ? id : Number.NaN,
    logprob: toLogprob(logprob),
    ...(typeof token === 'string' && { text: token }),
    ...(isListOf(bytes, isCount) && { bytes }),
  };
}

/** The older shape: lists of texts, their log-probabilities, and objects of the likeliest ones. */
function legacyTokens({ tokens, token_logprobs: own, top_logprobs: tops }: Readonly<Record<string, unknown>>) {
  return (tokens as unknown[]).map((token, i): ToldToken => {
    const logprob = toLogprob(Object(own)[i]);
    const top: unknown = Object(tops)[i];
    return {
      ...named(token),
      ...(Number.isNaN(logprob) ? {} : { logprob }),
      ...(typeof top === 'object' && top !== null && { top: legacyRivals(top) }),
    };
  });
}

function legacyRivals(top: object): ToldRival[] {
  return Object.entries(top).map(([token, logprob]) => {
    const { id, text, bytes } = named(token);
    const shown = text ?? (bytes && Buffer.from(bytes).toString());
    return {
      id,
      logprob: toLogprob(logprob),
      ...(shown !== undefined && { text: shown }),
      ...(bytes !== undefined && { bytes }),
    };
  });
}

/** `token_id:262` where that is asked for; `bytes:\xe2\x80` for a part of a character, as OpenAI's servers write it. */
function named(token: unknown): Pick<ToldToken, 'id' | 'text' | 'bytes'> {
  if (typeof token !== 'string') {
    return { id: Number.NaN };
  }
  const [, id, bytes] = /^(?:token_id:(\d+)|bytes:((?:\\x[\da-f]{2})+))$/.exec(token) ?? [];
  if (id !== undefined) {
    return { id: Number(id) };
  }
  if (bytes === undefined) {
    return { id: Number.NaN, text: token };
  }
  return { id: Number.NaN, bytes: [...Buffer.from(bytes.replaceAll('\\x', ''), 'hex')] };
}

/** NaN: there is none. */
function toLogprob(value: unknown): number {
  return typeof value === 'number' ? value : Number.NaN;
}

/** `usage`, and llama.cpp's `timings`. */
export function countsOf(json: unknown): Counts {
  const { usage, timings } = Object(json);
  const { prompt_tokens: prompt, completion_tokens: generated, prompt_tokens_details: details } = Object(usage);
  const reused = [Object(details).cached_tokens, Object(timings).cache_n].find(isCount);
  return {
    ...(isCount(prompt) && { promptTokens: prompt }),
    ...(isCount(generated) && { generationTokens: generated }),
    ...(reused !== undefined && { reusedTokens: reused }),
  };
}

/** The ids of the prompt; undefined: the server does not say. */
export function promptIdsIn(json: unknown): readonly number[] | undefined {
  const { prompt_token_ids: ofAll, choices } = Object(json);
  const ids = Array.isArray(choices) ? (Object(choices[0]).prompt_token_ids ?? ofAll) : ofAll;
  return isListOf(ids, isCount) ? ids : undefined;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isListOf<T>(value: unknown, is: (one: unknown) => one is T): value is T[] {
  return Array.isArray(value) && value.every(is);
}
