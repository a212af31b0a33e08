// Gives each token its text as it arrives: through the detokenizer, then through the stop strings. While text is held back
// (an unfinished character, a possible stop string) the newest token waits, so that the texts of all tokens together are
// exactly the whole text. Special tokens have no text, unless they are asked for. Knows nothing of where the tokens come from.

import { Detokenizer, type TokenTexts, tokenText } from './detokenizer.js';
import { StopMatcher } from './stop.js';

export interface TokenStreamOptions {
  /** Are special tokens a part of the text? */
  readonly special: boolean;
  /** The ids that the text goes on from. */
  readonly before?: readonly number[];
  /** Does the text begin with what those hold back? */
  readonly goesOn?: boolean | undefined;
}

export class TokenStream<T extends { readonly id: number }> {
  /** Has a stop string ended the text? */
  stopped = false;
  readonly #tokenizer: TokenTexts | null;
  readonly #stops: readonly string[];
  readonly #special: boolean;
  readonly #detokenizer: Detokenizer | null;
  readonly #matcher: StopMatcher | null;
  #waiting: (T & { readonly text: string }) | null = null;

  /** @param tokenizer null: the model has none, and every text is empty */
  constructor(
    tokenizer: TokenTexts | null,
    stops: readonly string[],
    { special, before = [], goesOn }: TokenStreamOptions = { special: true },
  ) {
    this.#tokenizer = tokenizer;
    this.#stops = stops;
    this.#special = special;
    const seen = special ? before : before.filter((id) => tokenizer?.isSpecial?.(id) !== true);
    this.#detokenizer = tokenizer === null ? null : new Detokenizer(tokenizer, seen, goesOn);
    this.#matcher = stops.length === 0 ? null : new StopMatcher(stops);
  }

  /** Returns the tokens that need not wait any longer, each with its text. */
  add(token: T): (T & { readonly text: string })[] {
    const released = this.#waiting === null ? [] : [this.#waiting];
    const added = { ...token, text: this.#textOf(token.id) };
    const holding = !this.stopped && (this.#detokenizer?.holding || this.#matcher?.holding);
    this.#waiting = holding ? added : null;
    return holding ? released : [...released, added];
  }

  /** Returns the token that still waits when no more tokens come, with the text that was held back. */
  end(): (T & { readonly text: string })[] {
    const last = this.#waiting;
    this.#waiting = null;
    if (last === null) {
      return [];
    }
    const text = last.text + this.#match(this.#detokenizer?.finish() ?? '');
    return [{ ...last, text: this.stopped ? text : text + (this.#matcher?.finish() ?? '') }];
  }

  #textOf(id: number): string {
    if (this.#special || this.#tokenizer?.isSpecial?.(id) !== true) {
      return this.#match(this.#detokenizer?.add(id) ?? '');
    }
    const text = this.#tokenizer?.token?.(id) ?? tokenText(this.#tokenizer, id); // without a space before it
    return this.#stops.includes(text) ? this.#endHere() : '';
  }

  /** A special token is never seen in the text, and ends it all the same where it is a stop string. */
  #endHere(): string {
    const text = this.#match(this.#detokenizer?.finish() ?? '') + (this.stopped ? '' : (this.#matcher?.finish() ?? ''));
    this.stopped = true;
    return text;
  }

  #match(piece: string): string {
    const { text, stopped } = this.#matcher?.push(piece) ?? { text: piece, stopped: false };
    this.stopped ||= stopped;
    return text;
  }
}
