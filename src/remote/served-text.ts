// A text as it comes from a server: its tokens with the text of each, and stop strings applied here too. Where the ids are all
// known and there is a tokenizer, the text is made of them as it is made of ids that were generated here; else it is the
// server's own. Knows nothing of connections.

import { type CompletionToken, joinedText } from '../completion/complete.js';
import type { TokenTexts } from '../text/detokenizer.js';
import { StopMatcher } from '../text/stop.js';
import { TokenStream } from '../text/token-stream.js';
import type { AnswerPart, ToldRival, ToldToken } from './answer-part.js';

interface ServedTextOptions {
  readonly stops: readonly string[];
  /** Are special tokens a part of the text? */
  readonly special: boolean;
  /** How many of the likeliest tokens each token comes with; undefined: no log-probabilities. */
  readonly logprobs: number | undefined;
  /** The ids that the text goes on from; undefined: they are not known. */
  readonly before: readonly number[] | undefined;
  /** Does the server give the id that ends a text, too? */
  readonly givesEnd: boolean;
  /** Ids that end it besides: where they come, it ends before them. */
  readonly ends: readonly number[];
}

type Token = Omit<CompletionToken, 'text'>;

export class ServedText {
  readonly tokens: CompletionToken[] = [];
  /** Tokens that the server told of, with the one that ended the text. */
  told = 0;
  /** Were all of these told with their ids? */
  areAllIds = true;
  readonly #tokenizer: TokenTexts | null;
  readonly #options: ServedTextOptions;
  /** null: the text is the server's own. */
  #stream: TokenStream<Token> | null = null;
  readonly #pieces: PieceStream;
  /** The text as the server writes it. */
  #theirs = '';
  #hasBegun = false;
  #isEnded = false;
  /** It may be the one that ends the text, which is no part of it. */
  #maybeEnd: Token | null = null;

  constructor(tokenizer: TokenTexts | null, options: ServedTextOptions) {
    this.#tokenizer = tokenizer;
    this.#options = options;
    this.#pieces = new PieceStream(options.stops);
  }

  /** Has a stop string or an id ended the text? */
  get stopped(): boolean {
    return this.#isEnded || (this.#stream?.stopped ?? this.#pieces.stopped);
  }

  get text(): string {
    return joinedText(this.tokens);
  }

  /**
   * Are the ids another text there? Then the tokenizer here is another one. Only letters and digits count, since servers differ in
   * spaces, and either side may hold back what the other has written.
   * @param isWhole has the text ended?
   */
  isOtherText(isWhole: boolean): boolean {
    if (this.#stream === null) {
      return false;
    }
    const [ours = '', theirs = ''] = [this.text, this.#theirs].map((text) => text.replace(/[^\p{L}\p{N}]+/gu, ''));
    const length = Math.min(ours.length, theirs.length);
    const isCut = isWhole && !this.stopped && ours.length < theirs.length;
    return isCut || ours.slice(0, length) !== theirs.slice(0, length);
  }

  /** @returns the tokens whose text is complete now */
  add(part: AnswerPart): CompletionToken[] {
    const told = part.tokens ?? (part.text === '' ? [] : [{ id: Number.NaN }]);
    if (told.length === 0 && part.text === '') {
      return [];
    }
    this.#begin(part);
    this.#theirs += part.text;
    this.told += told.length;
    this.areAllIds &&= part.areAllIds || told.every(({ id }) => !Number.isNaN(id));
    return this.#released(this.#stream === null ? this.#addPieces(told, part) : this.#addIds(told));
  }

  /**
   * @param isEnd did the server end the text at a token that ends texts? undefined: there, or at a stop string
   * @returns the tokens that were still waiting
   */
  end(isEnd: boolean | undefined): CompletionToken[] {
    const isDropped = isEnd !== false && !this.stopped;
    const last = isDropped || this.#maybeEnd === null ? [] : this.#add(this.#maybeEnd, '');
    this.areAllIds &&= this.#maybeEnd === null || isEnd !== undefined || this.#options.stops.length === 0;
    this.#maybeEnd = null;
    return this.#released([...last, ...(this.#stream ?? this.#pieces).end()]);
  }

  /** What the first part is made of decides it for all. */
  #begin({ areAllIds }: AnswerPart): void {
    if (!this.#hasBegun && areAllIds && this.#tokenizer !== null) {
      const { stops, special, before } = this.#options;
      this.#stream = new TokenStream<Token>(this.#tokenizer, stops, { special, before: before ?? [] });
    }
    this.#hasBegun = true;
  }

  #addIds(told: readonly ToldToken[]): CompletionToken[] {
    return told.flatMap((token) => this.#inTurn(token, ''));
  }

  /**
   * Several tokens may come with one text: each gets its own where the two agree, else the last one gets all; the one that ends
   * the text has none.
   */
  #addPieces(told: readonly ToldToken[], { text, finishReason, stopReason }: AnswerPart): CompletionToken[] {
    if (told.length === 0) {
      return this.#add({ id: Number.NaN }, text);
    }
    const isEnd = this.#options.givesEnd && finishReason === 'stop' && typeof stopReason !== 'string';
    const speaking = isEnd && told.length > 1 ? told.length - 1 : told.length;
    const texts = told.slice(0, speaking).map((token) => token.text ?? '');
    const own = texts.join('') === text ? texts : texts.map((_, i) => (i === speaking - 1 ? text : ''));
    return told.flatMap((token, i) => this.#inTurn(token, own[i] ?? ''));
  }

  /** A token without a text may be the end of the text: it waits for the next one. */
  #inTurn(told: ToldToken, text: string): CompletionToken[] {
    this.#isEnded ||= this.#options.ends.includes(told.id);
    if (this.#isEnded) {
      return [];
    }
    const waiting = this.#maybeEnd;
    const before = waiting === null ? [] : this.#add(waiting, '');
    this.#maybeEnd = null;
    const token = this.#tokenOf(told);
    if (this.#options.givesEnd && text === '' && !this.stopped && this.#mayEnd(told)) {
      this.#maybeEnd = token;
      return before;
    }
    return [...before, ...this.#add(token, text)];
  }

  /** A token that is held back, since a stop string may begin with it, has no text yet either, but bytes. */
  #mayEnd({ id, bytes = [] }: ToldToken): boolean {
    const tokenizer = Number.isNaN(id) ? null : this.#tokenizer;
    const isText = tokenizer?.isSpecial?.(id) === false && tokenizer.bytes(id).length > 0;
    return bytes.length === 0 && !isText;
  }

  #add(token: Token, text: string): CompletionToken[] {
    return this.#stream === null ? this.#pieces.add(token, text) : this.#stream.add(token);
  }

  #released(tokens: CompletionToken[]): CompletionToken[] {
    this.tokens.push(...tokens);
    return tokens;
  }

  #tokenOf({ id, text, bytes, logprob, top }: ToldToken): Token {
    const { logprobs } = this.#options;
    if (logprobs === undefined) {
      return { id };
    }
    const best = top?.toSorted((a, b) => b.logprob - a.logprob).slice(0, logprobs);
    const known = this.#bytesOf({ id, text, bytes });
    return {
      id,
      ...(logprob !== undefined && { logprob }),
      ...(known !== undefined && { bytes: known }),
      ...(logprobs > 0 && best !== undefined && { top: best.map((rival) => this.#rival(rival)) }),
    };
  }

  #rival(rival: ToldRival): ToldRival {
    const bytes = this.#bytesOf(rival);
    return bytes === undefined ? rival : { ...rival, bytes };
  }

  /** undefined: nobody knows them. */
  #bytesOf({ id, text, bytes }: { id: number; text?: string | undefined; bytes?: readonly number[] | undefined }) {
    if (this.#tokenizer !== null && !Number.isNaN(id)) {
      return [...this.#tokenizer.bytes(id)];
    }
    return bytes ?? (text === undefined || text.includes('\ufffd') ? undefined : [...Buffer.from(text)]);
  }
}

/** Applies stop strings to pieces of text; the newest one waits while text is held back. */
class PieceStream {
  stopped = false;
  readonly #matcher: StopMatcher | null;
  #waiting: CompletionToken | null = null;

  constructor(stops: readonly string[]) {
    this.#matcher = stops.length === 0 ? null : new StopMatcher(stops);
  }

  add(token: Token, text: string): CompletionToken[] {
    const before = this.#waiting === null ? [] : [this.#waiting];
    const found = this.#matcher?.push(text) ?? { text, stopped: false };
    this.stopped ||= found.stopped;
    const added = { ...token, text: found.text };
    const holding = !this.stopped && this.#matcher?.holding;
    this.#waiting = holding ? added : null;
    return holding ? before : [...before, added];
  }

  end(): CompletionToken[] {
    const last = this.#waiting;
    this.#waiting = null;
    return last === null ? [] : [{ ...last, text: last.text + (this.#matcher?.finish() ?? '') }];
  }
}
