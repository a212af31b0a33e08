// A text of /v1/completions: its text, with the prompt where that is echoed, and log-probabilities as lists beside each
// other. Knows nothing of HTTP.

import { type Completion, joinedText } from '../completion/complete.js';
import type { Prompt } from '../completion/request.js';
import type { TokenLogprob } from '../sampling/logprobs.js';
import { TokenStream } from '../text/token-stream.js';
import { type ChoiceForm, type Envelope, finishReason, type ShownToken } from './answer-form.js';
import type { TextQuery } from './text-query.js';
import { type TokenNames, tokenName } from './token-names.js';

export const COMPLETION: Envelope = { object: 'text_completion', chunk: 'text_completion', prefix: 'cmpl' };

type Wanted = Pick<TextQuery, 'echo' | 'returnIds'> & { readonly logprobs: number | undefined };

/** Tokens, and where the text of each begins. */
interface Placed {
  readonly token: ShownToken;
  readonly offset: number;
}

export class CompletionChoice implements ChoiceForm {
  readonly #index: number;
  readonly #prompt: Prompt;
  readonly #wanted: Wanted;
  readonly #names: TokenNames;
  readonly #promptLogprobs: () => readonly TokenLogprob[];
  /** Characters of the text so far. */
  #offset = 0;
  #isFirst = true;

  /** @param promptLogprobs of its ids after the first; asked when the prompt has run */
  constructor(
    index: number,
    prompt: Prompt,
    wanted: Wanted,
    names: TokenNames,
    promptLogprobs: () => readonly TokenLogprob[],
  ) {
    this.#index = index;
    this.#prompt = prompt;
    this.#wanted = wanted;
    this.#names = names;
    this.#promptLogprobs = promptLogprobs;
  }

  opening(): object | null {
    const { echo, returnIds } = this.#wanted;
    return echo || returnIds ? this.#choice(this.#echoed, this.#promptTokens(), [], null) : null;
  }

  piece(tokens: readonly ShownToken[]): object | null {
    const text = joinedText(tokens);
    const { logprobs, returnIds } = this.#wanted;
    const isNothing = text === '' && (tokens.length === 0 || (logprobs === undefined && !returnIds));
    return isNothing ? null : this.#choice(text, this.#placed(tokens), tokens, null);
  }

  ending(completion: Completion): object {
    return this.#choice(this.#unfinished(completion), [], [], completion);
  }

  whole(completion: Completion): object {
    const before = this.#wanted.echo ? this.#promptTokens() : [];
    const text = (this.#wanted.echo ? this.#echoed : '') + completion.text + this.#unfinished(completion);
    return this.#choice(text, [...before, ...this.#placed(completion.tokens)], completion.tokens, completion);
  }

  /** The prompt without what the first token may change, which comes with that. */
  get #echoed(): string {
    const { text, held = '' } = this.#prompt;
    return this.#wanted.echo ? text.slice(0, text.length - held.length) : '';
  }

  /** What the prompt leaves unfinished, where no token came that could have changed it. */
  #unfinished({ tokens }: Completion): string {
    return this.#wanted.echo && tokens.length === 0 ? (this.#prompt.held ?? '') : '';
  }

  /** @param end null: it goes on */
  #choice(text: string, placed: readonly Placed[], tokens: readonly ShownToken[], end: Completion | null): object {
    const { logprobs, returnIds } = this.#wanted;
    const isFirst = this.#isFirst;
    this.#isFirst = false;
    return {
      index: this.#index,
      text,
      logprobs:
        logprobs === undefined || (placed.length === 0 && end !== null && text === '') ? null : this.#lists(placed),
      finish_reason: end && finishReason(end.finishReason),
      ...(returnIds ? { token_ids: tokens.map(({ id }) => id) } : {}),
      ...(returnIds && isFirst ? { prompt_token_ids: this.#prompt.ids } : {}),
    };
  }

  #lists(placed: readonly Placed[]): object {
    const name = (id: number) => tokenName(this.#names, id);
    return {
      tokens: placed.map(({ token }) => name(token.id)),
      token_logprobs: placed.map(({ token: { logprob = null } }) => logprob),
      top_logprobs: this.#wanted.logprobs === 0 ? null : placed.map(({ token }) => this.#likeliest(token)),
      text_offset: placed.map(({ offset }) => offset),
    };
  }

  /** With the token itself, as OpenAI's have it, where it is none of them. */
  #likeliest({ id, logprob, top }: ShownToken): object | null {
    const all = top === undefined ? [] : [...top, ...(logprob === undefined ? [] : [{ id, logprob }])];
    return top === undefined
      ? null
      : Object.fromEntries(all.map((one) => [tokenName(this.#names, one.id), one.logprob]));
  }

  #placed(tokens: readonly ShownToken[]): Placed[] {
    return tokens.map((token) => {
      const offset = this.#offset;
      this.#offset += length(token.text);
      return { token, offset };
    });
  }

  /** What the tokenizer puts before the prompt has no place in its text. */
  #promptTokens(): Placed[] {
    if (this.#wanted.logprobs === undefined || !this.#wanted.echo) {
      return [];
    }
    const { ids, text } = this.#prompt;
    const logprobs = this.#promptLogprobs();
    const stream = new TokenStream<Partial<TokenLogprob> & { id: number }>(this.#names.tokenizer, [], {
      special: true,
    });
    const tokens = [...ids.flatMap((id, i) => stream.add({ id, ...logprobs[i - 1] })), ...stream.end()];
    let at = 0;
    return tokens.map((token) => {
      const isThere = text.startsWith(token.text, at);
      const [placed] = this.#placed([isThere ? token : { ...token, text: '' }]);
      at += isThere ? token.text.length : 0;
      return placed as Placed;
    });
  }
}

/** In characters, as the programs count that read offsets. */
function length(text: string): number {
  return [...text].length;
}
