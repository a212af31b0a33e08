// How likely each token of given ids is, from a server that scores prompts: vLLM tells it as `prompt_logprobs`, others echo the
// prompt with log-probabilities and generate nothing, or one token. Counted, since a prefix cache may leave tokens out, and compared with the text that the ids have here.

import { randomUUID } from 'node:crypto';
import { KvgenError } from '../errors.js';
import type { TokenLogprob } from '../sampling/logprobs.js';
import { decodeAll, type TokenTexts } from '../text/detokenizer.js';
import { toldTokens } from './answer-part.js';
import type { Connection } from './connection.js';
import { jsonOf } from './event-stream.js';
import { refusal } from './remote-errors.js';
import type { ServedModel } from './served-model.js';

export class PromptScores {
  readonly #connection: Connection;
  readonly #served: ServedModel;
  readonly #tokenizer: TokenTexts | null;
  /** Those that may do, the best first. */
  #ways: readonly Way[];

  /**
   * @param tokenizer null: the ids have no text here
   * @throws KvgenError for a server that scores no prompts
   */
  constructor(connection: Connection, served: ServedModel, tokenizer: TokenTexts | null) {
    const { kind } = served;
    if (kind.scoresPrompts === null) {
      const can = 'kvgen serve and vLLM do';
      throw new KvgenError(`${connection.server}: ${kind.title} gives no log-probabilities of a prompt; ${can}`);
    }
    this.#connection = connection;
    this.#served = served;
    this.#tokenizer = tokenizer;
    this.#ways = WAYS[kind.scoresPrompts];
  }

  /** The longest prompt that is scored; undefined: the server does not say. */
  get nCtx(): number | undefined {
    const { kind, nCtx } = this.#served;
    return nCtx === undefined || kind.takesNoTokens ? nCtx : nCtx - 1; // a token must follow
  }

  /** @returns the log-probability of each id after the first, which nothing predicts */
  async logprobs(ids: readonly number[], signal: AbortSignal): Promise<readonly number[]> {
    return (await this.#told(ids, 0, signal)).map(({ logprob }) => logprob);
  }

  /** @returns the log-probability of each id after the first, and those of the k likeliest there */
  async likeliest(ids: readonly number[], k: number, signal?: AbortSignal): Promise<readonly TokenLogprob[]> {
    const { title, maxLogprobs } = this.#served.kind;
    if (k > maxLogprobs) {
      throw new KvgenError(`${title} gives ${maxLogprobs} likeliest tokens at most; --logprobs ${k}`);
    }
    const told = await this.#told(ids, k, signal);
    const best = (top: Told['top'] = []) => top.toSorted((a, b) => b.logprob - a.logprob).slice(0, k);
    return told.map(({ logprob, top }) => (k === 0 ? { logprob } : { logprob, top: best(top) }));
  }

  async #told(ids: readonly number[], k: number, signal: AbortSignal | undefined): Promise<readonly Scored[]> {
    for (;;) {
      const [way, next] = this.#ways as [Way, Way?];
      const { told, text, error } = await this.#ask(way, ids, k, signal);
      if (next === undefined || told.length > 0) {
        if (error !== undefined) {
          throw error;
        }
        this.#checkText(told, ids, text);
        return this.#checked(told, ids);
      }
      this.#ways = this.#ways.filter((other) => other !== way); // found out once
    }
  }

  /** @returns nothing where this way is refused, and why */
  async #ask(way: Way, ids: readonly number[], k: number, signal: AbortSignal | undefined): Promise<Asked> {
    const { server, hasKey } = this.#connection;
    const body = { model: this.#served.model, prompt: ids, ...way.body(k) };
    const answer = await this.#connection.post('/v1/completions', body, signal);
    if (answer.status !== 200) {
      const error = await refusal(answer, server, hasKey);
      if (![400, 422].includes(answer.status)) {
        throw error;
      }
      return { told: [], error };
    }
    const [choice] = Object(await jsonOf(answer, server)).choices ?? [];
    return { told: way.read(choice, ids), text: Object(choice).text };
  }

  /** @throws KvgenError where most tokens, or the whole echo of kvgen serve, are another text here */
  #checkText(told: readonly Told[], ids: readonly number[], echo: unknown): void {
    const tokenizer = this.#tokenizer;
    if (tokenizer === null) {
      return;
    }
    const named = told.flatMap(({ text }, i) => (text === undefined ? [] : [{ text, id: ids[i] as number }]));
    const other = named.filter(({ text, id }) => letters(text) !== letters(decodeAll(tokenizer, [id])));
    const isEcho = this.#served.kind.name === 'kvgen' && typeof echo === 'string';
    if (2 * other.length > named.length || (isEcho && letters(echo) !== letters(decodeAll(tokenizer, ids)))) {
      const { host } = this.#connection;
      throw new KvgenError(`${host} writes another text for the ids of a prompt; is --tokenizer of the same model?`);
    }
  }

  /** @throws KvgenError where a token is left out, or is another one */
  #checked(told: readonly Told[], ids: readonly number[]): readonly Scored[] {
    const { host } = this.#connection;
    const scored = told.slice(1).filter((one) => one.logprob !== undefined) as Scored[];
    const known = scored.length;
    if (told.length !== ids.length || known !== ids.length - 1) {
      throw new KvgenError(
        `${host}: expected ${ids.length - 1} log-probabilities of a prompt of ${ids.length} tokens, found ${known}; ` +
          'does it leave some out?',
      );
    }
    const other = told.findIndex(({ id }, i) => id !== undefined && id !== ids[i]);
    if (other >= 0) {
      throw new KvgenError(`${host}: expected the token id ${ids[other]} at ${other}, found ${told[other]?.id}`);
    }
    return scored;
  }
}

/** A token of the prompt as the server tells it. */
interface Told {
  /** undefined: it does not say. */
  readonly id?: number;
  readonly text?: string;
  readonly logprob?: number;
  /** The likeliest ones. */
  readonly top?: readonly { readonly id: number; readonly logprob: number }[];
}

type Scored = Told & { readonly logprob: number };

/** What came of one question. */
interface Asked {
  readonly told: readonly Told[];
  /** What was written, the prompt with it where it is echoed. */
  readonly text?: unknown;
  readonly error?: KvgenError;
}

/** How a prompt's scores are asked for, and where they are then. */
interface Way {
  /** @param k how many of the likeliest are wanted */
  body(k: number): object;
  read(choice: unknown, ids: readonly number[]): readonly Told[];
}

/** `return_tokens_as_token_ids`: so that they can be compared. */
const ECHO: Way = {
  body: (k) => ({ max_tokens: 0, echo: true, logprobs: k, return_tokens_as_token_ids: true }),
  read: echoed,
};
/** Where no token is too few: the last one is not of the prompt. */
const ECHO_AND_ONE: Way = {
  body: (k) => ({ ...ECHO.body(k), max_tokens: 1, temperature: 0 }),
  read: (choice, ids) => echoed(choice).slice(0, ids.length),
};
/** With a salt of its own, so that all of the prompt is run; greedy, so that no seed matters. */
const PROMPT_LOGPROBS: Way = {
  body: (k) => ({ max_tokens: 1, temperature: 0, prompt_logprobs: Math.max(1, k), cache_salt: randomUUID() }),
  read: ofPrompt,
};
const ECHO_WITH_SALT: Way = { body: (k) => ({ ...ECHO.body(k), cache_salt: randomUUID() }), read: echoed };

const WAYS = { echo: [ECHO, ECHO_AND_ONE], prompt_logprobs: [PROMPT_LOGPROBS, ECHO_WITH_SALT] } as const;

/** What servers agree on: they differ in spaces, special tokens' names and parts of characters. */
function letters(text: string): string {
  return text.replace(/[^A-Za-z0-9]+/g, '');
}

function echoed(choice: unknown): Told[] {
  const tokens = toldTokens(Object(choice).logprobs) ?? [];
  return tokens.map(({ id, logprob, top }) => ({
    ...(!Number.isNaN(id) && { id }),
    ...(logprob !== undefined && { logprob }),
    ...(top !== undefined && { top }),
  }));
}

/** A list of objects, each with the token itself and the likeliest one, by id; null for the first token. */
function ofPrompt(choice: unknown, ids: readonly number[]): Told[] {
  const list: unknown = Object(choice).prompt_logprobs;
  return (Array.isArray(list) ? list : []).map((entry, i) => {
    const all = Object.entries(Object(entry)).map(([id, one]) => ({ id: Number(id), logprob: Object(one).logprob }));
    const top = all.filter(({ logprob }) => typeof logprob === 'number');
    const own = top.find(({ id }) => id === ids[i]);
    const { decoded_token: text } = Object(Object(entry)[String(ids[i])]);
    return own === undefined ? {} : { logprob: own.logprob, top, ...(typeof text === 'string' && { text }) };
  });
}
