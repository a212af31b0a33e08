// Tokens to text as they arrive: the streaming detokenizer, then the stop strings. While text is held back (an
// unfinished character, a possible stop string) the newest token waits, so that the texts of all tokens, joined,
// are exactly the text. Knows nothing of where the tokens come from.

import { Detokenizer } from './detokenizer.js';
import { StopMatcher } from './stop.js';
import type { Tokenizer } from './tokenizer.js';

export class TokenStream<T extends { readonly id: number }> {
  /** Has a stop string ended the text? */
  stopped = false;
  readonly #detokenizer: Detokenizer | null;
  readonly #matcher: StopMatcher | null;
  #waiting: (T & { readonly text: string }) | null = null;

  /** @param tokenizer null: a model without one; every text is then empty */
  constructor(tokenizer: Pick<Tokenizer, 'bytes'> | null, stops: readonly string[]) {
    this.#detokenizer = tokenizer === null ? null : new Detokenizer(tokenizer);
    this.#matcher = stops.length === 0 ? null : new StopMatcher(stops);
  }

  /** The tokens that need wait no longer, each with the text that it released. */
  add(token: T): (T & { readonly text: string })[] {
    const released = this.#waiting === null ? [] : [this.#waiting];
    const added = { ...token, text: this.#match(this.#detokenizer?.add(token.id) ?? '') };
    this.#waiting = this.#holding ? added : null;
    return this.#waiting === null ? [...released, added] : released;
  }

  /** The token that still waits when the tokens end, with what was held. */
  end(): (T & { readonly text: string })[] {
    const last = this.#waiting;
    this.#waiting = null;
    return last === null ? [] : [{ ...last, text: last.text + this.#finish() }];
  }

  get #holding(): boolean {
    return !this.stopped && ((this.#detokenizer?.holding ?? false) || (this.#matcher?.holding ?? false));
  }

  #finish(): string {
    const text = this.#match(this.#detokenizer?.finish() ?? '');
    return this.stopped ? text : text + (this.#matcher?.finish() ?? '');
  }

  #match(piece: string): string {
    const { text, stopped } = this.#matcher?.push(piece) ?? { text: piece, stopped: false };
    this.stopped ||= stopped;
    return text;
  }
}
