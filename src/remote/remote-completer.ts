// Makes texts by asking a server for them: a request each, since one that asks for several may be refused, or draw them from
// other seeds. Gives the same events as the engine of this process. What came of a text that broke off is kept.

import type { Completion, CompletionToken, Served } from '../completion/complete.js';
import type { CompletionEvent } from '../completion/complete-many.js';
import type { Completer } from '../completion/completer.js';
import { KvgenError } from '../errors.js';
import type { RequestSource } from '../generation/generate-many.js';
import { type FinishReason, NOTHING_MEASURED, type SequenceStats } from '../generation/sequence.js';
import type { TokenTexts } from '../text/detokenizer.js';
import { type AnswerPart, type Counts, countsOf, partOf, promptIdsIn } from './answer-part.js';
import type { Connection } from './connection.js';
import { DONE, valuesOf } from './event-stream.js';
import { refusal } from './remote-errors.js';
import type { ServedModel } from './served-model.js';
import { bodyOf, type ServedRequest } from './served-request.js';
import { ServedText } from './served-text.js';
import { together } from './together.js';

export class RemoteCompleter implements Completer<ServedRequest> {
  readonly #connection: Connection;
  readonly #served: ServedModel;
  readonly #tokenizer: TokenTexts | null;

  /** @param tokenizer the served model's; null: its texts are taken as the server writes them */
  constructor(connection: Connection, served: ServedModel, tokenizer: TokenTexts | null) {
    this.#connection = connection;
    this.#served = served;
    this.#tokenizer = tokenizer;
  }

  complete<R extends ServedRequest>(
    source: RequestSource<R>,
    concurrency: number,
  ): AsyncGenerator<CompletionEvent<R>, void> {
    return together(source, concurrency, (request, gone) => this.#events(request, gone));
  }

  async *#events<R extends ServedRequest>(request: R, gone: AbortSignal): AsyncGenerator<CompletionEvent<R>, void> {
    const answer = new Answer(request, this.#connection, this.#served, this.#tokenizer);
    const signal = AbortSignal.any([request.signal, gone]);
    try {
      for await (const tokens of answer.tokens(signal)) {
        yield { request, tokens, stats: answer.stats };
      }
    } catch (error) {
      yield* this.#failed(request, answer, error);
      return;
    }
    yield { request, end: answer.completion(answer.finishReason) };
  }

  /** An interrupt is no failure: the text ends where it is. */
  *#failed<R extends ServedRequest>(request: R, answer: Answer, error: unknown): Generator<CompletionEvent<R>, void> {
    const { aborted } = request.signal;
    const tokens = answer.rest();
    if (tokens.length > 0) {
      yield { request, tokens, stats: answer.stats };
    }
    const completion = answer.completion('abort');
    yield aborted ? { request, end: completion } : { request, error, partial: completion };
  }
}

/** Tokens after which nobody need read on to see that a text is wrong. */
const MANY = 50;

/** One answer as it comes. */
class Answer {
  readonly #request: ServedRequest;
  readonly #connection: Connection;
  readonly #served: ServedModel;
  readonly #text: ServedText;
  readonly #start = performance.now();
  #firstTokenMs: number | null = null;
  #decodeMs: number | null = null;
  #counts: Counts = {};
  #promptIds: readonly number[] | undefined;
  /** undefined: it has not ended. */
  #end: Pick<AnswerPart, 'finishReason' | 'stopReason'> | undefined;

  constructor(request: ServedRequest, connection: Connection, served: ServedModel, tokenizer: TokenTexts | null) {
    const { settings, logprobs, prompt } = request;
    this.#request = request;
    this.#connection = connection;
    this.#served = served;
    this.#text = new ServedText(tokenizer, {
      stops: settings.stop,
      special: settings.special,
      logprobs,
      before: prompt.ids,
      givesEnd: served.kind.givesEnd,
      ends: request.turnEnds,
    });
  }

  /** Tokens with their text, as they are complete. @throws KvgenError for an answer that is none, or has no end */
  async *tokens(signal: AbortSignal): AsyncGenerator<readonly CompletionToken[], void> {
    for await (const json of this.#values(signal)) {
      const part = this.#read(json);
      const tokens = part === null ? [] : this.#add(part);
      if (tokens.length > 0) {
        yield tokens;
      }
      if (this.#text.stopped) {
        break; // the server need not know that the text has ended
      }
    }
    const { host } = this.#connection;
    if (this.#end === undefined && !this.#text.stopped) {
      throw new KvgenError(`${host}: the stream broke off after ${this.#text.told} tokens, without its end`);
    }
    const rest = this.rest();
    if (rest.length > 0) {
      yield rest;
    }
    this.#checkAnswer();
  }

  /** The tokens that were still waiting. */
  rest(): readonly CompletionToken[] {
    const { finishReason, stopReason } = this.#end ?? {};
    const isSure = finishReason !== 'stop' || stopReason !== undefined;
    return this.#note(this.#text.end(isSure ? finishReason === 'stop' && typeof stopReason !== 'string' : undefined));
  }

  get finishReason(): FinishReason {
    if (this.#text.stopped) {
      return 'stop';
    }
    const { maxTokens } = this.#request.settings;
    const count = this.#generationTokens ?? maxTokens;
    const isShort = maxTokens < 0 || count < maxTokens;
    return this.#end?.finishReason === 'length' ? (isShort ? 'context' : 'length') : 'stop';
  }

  get stats(): SequenceStats {
    return {
      ...NOTHING_MEASURED,
      loadMs: this.#start,
      firstTokenMs: this.#firstTokenMs,
      decodeMs: this.#decodeMs,
      generationTokens: this.#text.tokens.length,
      reusedTokens: this.#counts.reusedTokens ?? 0,
    };
  }

  completion(finishReason: FinishReason): Completion {
    const { text, tokens } = this.#text;
    const generationTokens = this.#generationTokens ?? tokens.length;
    return { finishReason, stats: { ...this.stats, generationTokens }, text, tokens, served: this.#facts() };
  }

  async *#values(signal: AbortSignal): AsyncGenerator<unknown, void> {
    const body = bodyOf(this.#request, this.#served);
    const answer = await this.#connection.post('/v1/completions', body, signal);
    const { server, host, hasKey } = this.#connection;
    if (answer.status !== 200) {
      throw await refusal(answer, server, hasKey);
    }
    for await (const json of valuesOf(answer, host)) {
      if (json === DONE) {
        this.#end ??= { finishReason: undefined, stopReason: undefined };
        return;
      }
      yield json;
    }
  }

  #read(json: unknown): AnswerPart | null {
    const part = partOf(json, this.#connection.host);
    this.#counts = { ...this.#counts, ...countsOf(json) };
    this.#promptIds ??= promptIdsIn(json);
    if (this.#end !== undefined) {
      return null; // what comes behind the end is no text
    }
    this.#end = part?.finishReason === undefined ? undefined : part;
    return part;
  }

  /** @throws KvgenError for ids that are another text here */
  #checkText(isWhole: boolean): void {
    if (this.#text.isOtherText(isWhole)) {
      throw new KvgenError(
        `${this.#connection.host} writes another text for its ids; is --tokenizer of the same model?`,
      );
    }
  }

  #add(part: AnswerPart): readonly CompletionToken[] {
    const { settings, logprobs } = this.#request;
    const tokens = this.#note(this.#text.add(part));
    if (this.#text.tokens.length < MANY) {
      this.#checkText(false); // of many it is checked at the end: all of it each time would take long
    }
    const { host } = this.#connection;
    if (settings.maxTokens >= 0 && this.#text.tokens.length > settings.maxTokens) {
      throw new KvgenError(`${host} gives more than the ${settings.maxTokens} tokens that it was asked for`);
    }
    if (
      logprobs !== undefined &&
      part.text !== '' &&
      part.tokens?.some(({ logprob }) => logprob !== undefined) !== true
    ) {
      throw new KvgenError(`${host} gives no log-probabilities; leave --logprobs out`);
    }
    return tokens;
  }

  #note(tokens: readonly CompletionToken[]): readonly CompletionToken[] {
    if (tokens.length > 0) {
      const now = performance.now() - this.#start;
      this.#firstTokenMs ??= now;
      this.#decodeMs = now - this.#firstTokenMs;
    }
    return tokens;
  }

  /** @throws KvgenError for an end that is none */
  #checkAnswer(): void {
    this.#checkText(true);
    const { finishReason } = this.#end ?? {};
    if (!this.#text.stopped && finishReason !== undefined && !['stop', 'length'].includes(finishReason)) {
      throw new KvgenError(`${this.#connection.host} ended the text: ${finishReason}`);
    }
    const { ids } = this.#request.prompt;
    const { promptTokens } = this.#counts;
    if (ids !== undefined && promptTokens !== undefined && promptTokens !== ids.length) {
      const counted = `counts ${promptTokens} tokens in a prompt of ${ids.length} ids`;
      throw new KvgenError(
        `${this.#connection.host} ${counted}: it takes them for something else; leave --tokenizer out`,
      );
    }
  }

  /** null: neither told nor counted. */
  get #generationTokens(): number | null {
    const { tokens, areAllIds } = this.#text;
    return areAllIds && this.#isWhole ? tokens.length : (this.#counts.generationTokens ?? null);
  }

  /** Did the server tell of as many tokens as it counted? */
  get #isWhole(): boolean {
    const { generationTokens } = this.#counts;
    return this.#text.stopped || generationTokens === undefined || generationTokens === this.#text.told;
  }

  #facts(): Served {
    const { prompt } = this.#request;
    const { promptTokens = prompt.ids?.length, reusedTokens } = this.#counts;
    return {
      server: this.#connection.server,
      kind: this.#served.kind.name,
      promptTokens: promptTokens ?? this.#promptIds?.length ?? null,
      promptIds: prompt.ids ?? this.#promptIds ?? null,
      reusedTokens: reusedTokens ?? null,
      generationTokens: this.#generationTokens,
      areAllIds: this.#text.areAllIds && this.#isWhole,
    };
  }
}
