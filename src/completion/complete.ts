// Text from a prompt: joins the loop with a detokenizer and stop strings. Yields each token with the text that it
// released. Knows nothing of stdout.

import type { Engine } from '../engine/engine.js';
import { generate } from '../generation/generate.js';
import type { SequenceRequest } from '../generation/generate-many.js';
import type { Ending, SequenceOptions } from '../generation/sequence.js';
import { type TokenLogprob, tokenLogprob } from '../sampling/logprobs.js';
import type { Sampler } from '../sampling/sampler.js';
import type { TokenTexts } from '../text/detokenizer.js';
import { TokenStream } from '../text/token-stream.js';
import type { CompletionRequest } from './request.js';

/** A token with its text; it has log-probabilities only where they were asked for. */
export interface CompletionToken extends Partial<Omit<TokenLogprob, 'top'>> {
  /** NaN, which is null in JSON: the server that made the text did not say. */
  readonly id: number;
  /** The text that this token released: an unfinished character or a possible stop string is held back. */
  readonly text: string;
  /** As a server told them; undefined: the tokenizer knows them. */
  readonly bytes?: readonly number[] | undefined;
  /** The likeliest tokens, best first; absent if none were asked for. */
  readonly top?: readonly LikelyToken[] | undefined;
}

/** One of the likeliest tokens. A server tells its text and bytes; else the tokenizer knows them. */
export interface LikelyToken {
  readonly id: number;
  readonly logprob: number;
  readonly text?: string | undefined;
  readonly bytes?: readonly number[] | undefined;
}

/** A finished text. */
export interface Completion extends Ending {
  readonly text: string;
  readonly tokens: readonly CompletionToken[];
  /** undefined: it was made here. */
  readonly served?: Served | undefined;
}

/** What a server says of a text that it made; null: it does not say. */
export interface Served {
  /** Its address. */
  readonly server: string;
  /** What it is, such as `vllm`. */
  readonly kind: string;
  readonly promptTokens: number | null;
  readonly promptIds: readonly number[] | null;
  /** Tokens of the prompt that it had computed before. */
  readonly reusedTokens: number | null;
  readonly generationTokens: number | null;
  /** Are the tokens of the text all its tokens, each with its id? */
  readonly areAllIds: boolean;
}

/**
 * Generates text. While text is held back the newest token waits, so that the joined texts of all tokens are exactly
 * the text.
 * @param tokenizer null: the model has none, and every text is empty
 */
export async function* complete(
  engine: Engine,
  tokenizer: TokenTexts | null,
  request: CompletionRequest,
): AsyncGenerator<CompletionToken, Completion> {
  const text = new GrowingText(request, tokenizer);
  const ids = new RememberedReturn(generate(engine, text.sampler, text.promptIds, text.options));
  for await (const { id } of ids) {
    for (const token of text.add(id)) {
      yield token; // by yield* it would take several turns of the microtask queue
    }
  }
  yield* text.end();
  return text.completion(ids.returned as Ending);
}

/** The text that tokens have released together. */
export function joinedText(tokens: readonly Pick<CompletionToken, 'text'>[]): string {
  return tokens.map(({ text }) => text).join('');
}

/** A generator for `for await`, which drops the value that a generator returns; here it is kept. */
export class RememberedReturn<T, R> {
  returned: R | undefined;
  readonly #generator: AsyncGenerator<T, R>;

  constructor(generator: AsyncGenerator<T, R>) {
    this.#generator = generator;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void> {
    this.returned = yield* this.#generator;
  }
}

/** A request and its text so far. The loop runs it with a sampler and options that report back to the text. */
export class GrowingText<R extends CompletionRequest> implements SequenceRequest {
  readonly request: R;
  readonly promptIds: readonly number[];
  readonly sampler: Sampler;
  readonly options: SequenceOptions;
  readonly #stream: TokenStream<Omit<CompletionToken, 'text'>>;
  readonly #tokens: CompletionToken[] = [];
  /** Of the id that was chosen last. */
  #logprob: TokenLogprob | undefined;

  constructor(request: R, tokenizer: TokenTexts | null) {
    const { promptIds, sampler, stops, special, goesOn, logprobs, options } = request;
    this.request = request;
    this.promptIds = promptIds;
    this.#stream = new TokenStream(tokenizer, stops, { special, before: promptIds, goesOn });
    this.options = { ...options, isStopped: () => this.#stream.stopped };
    const noting: Sampler = (logits, ids) => {
      const id = sampler(logits, ids);
      this.#logprob = tokenLogprob(logits, id, logprobs ?? 0);
      return id;
    };
    this.sampler = logprobs === undefined ? sampler : noting;
  }

  /** @returns the tokens whose text is complete now */
  add(id: number): CompletionToken[] {
    return this.#released(this.#stream.add({ id, ...this.#logprob }));
  }

  /** @returns the token that was still waiting when the ids ended; its text may complete a stop string */
  end(): CompletionToken[] {
    return this.#released(this.#stream.end());
  }

  /** Text that was held back to the end may complete a stop string, which the loop over ids cannot know. */
  completion({ finishReason, stats }: Ending): Completion {
    const text = joinedText(this.#tokens);
    return { finishReason: this.#stream.stopped ? 'stop' : finishReason, stats, text, tokens: this.#tokens };
  }

  #released(tokens: CompletionToken[]): CompletionToken[] {
    this.#tokens.push(...tokens);
    return tokens;
  }
}
