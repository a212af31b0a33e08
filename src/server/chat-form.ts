// An answer of /v1/chat/completions: a message, and log-probabilities as one list of tokens. Knows nothing of HTTP.

import { type Completion, joinedText } from '../completion/complete.js';
import type { Prompt } from '../completion/request.js';
import { type ChoiceForm, type Envelope, finishReason, type ShownToken } from './answer-form.js';
import type { TextQuery } from './text-query.js';
import { type TokenNames, tokenBytes, tokenName } from './token-names.js';

export const CHAT: Envelope = { object: 'chat.completion', chunk: 'chat.completion.chunk', prefix: 'chatcmpl' };

type Wanted = Pick<TextQuery, 'returnIds'> & { readonly logprobs: number | undefined };

export class ChatChoice implements ChoiceForm {
  readonly #index: number;
  readonly #prompt: Prompt;
  readonly #wanted: Wanted;
  readonly #names: TokenNames;

  constructor(index: number, prompt: Prompt, wanted: Wanted, names: TokenNames) {
    this.#index = index;
    this.#prompt = prompt;
    this.#wanted = wanted;
    this.#names = names;
  }

  opening(): object {
    const ids = this.#wanted.returnIds ? { prompt_token_ids: this.#prompt.ids } : {};
    return { ...this.#chunk({ role: 'assistant', content: '' }, [], null), ...ids };
  }

  piece(tokens: readonly ShownToken[]): object | null {
    const content = joinedText(tokens);
    const { logprobs, returnIds } = this.#wanted;
    const isNothing = content === '' && (tokens.length === 0 || (logprobs === undefined && !returnIds));
    return isNothing ? null : this.#chunk({ content }, tokens, null);
  }

  ending(completion: Completion): object {
    return this.#chunk({}, [], completion);
  }

  whole(completion: Completion): object {
    const { text, tokens } = completion;
    const { returnIds } = this.#wanted;
    return {
      index: this.#index,
      message: { role: 'assistant', content: text, refusal: null },
      logprobs: this.#logprobs(tokens),
      finish_reason: finishReason(completion.finishReason),
      ...(returnIds ? { token_ids: tokens.map(({ id }) => id), prompt_token_ids: this.#prompt.ids } : {}),
    };
  }

  /** @param end null: it goes on */
  #chunk(delta: object, tokens: readonly ShownToken[], end: Completion | null): object {
    return {
      index: this.#index,
      delta,
      logprobs: tokens.length === 0 ? null : this.#logprobs(tokens),
      finish_reason: end && finishReason(end.finishReason),
      ...(this.#wanted.returnIds && tokens.length > 0 ? { token_ids: tokens.map(({ id }) => id) } : {}),
    };
  }

  #logprobs(tokens: readonly ShownToken[]): object | null {
    if (this.#wanted.logprobs === undefined) {
      return null;
    }
    const content = tokens.map(({ id, logprob, top = [] }) => ({
      ...this.#named(id, logprob ?? null),
      top_logprobs: top.map((one) => this.#named(one.id, one.logprob)),
    }));
    return { content, refusal: null };
  }

  #named(id: number, logprob: number | null): object {
    return { id, token: tokenName(this.#names, id), logprob, bytes: tokenBytes(this.#names, id) };
  }
}
