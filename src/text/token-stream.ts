// Gives each token its text as it arrives: through the detokenizer, then through the stop strings. While text is held back
// (an unfinished character, a possible stop string) the newest token waits, so that the texts of all tokens together are
// exactly the whole text. Knows nothing of where the tokens come from.

import { Detokenizer, type TokenTexts } from './detokenizer.js';
import { StopMatcher } from './stop.js';

export class TokenStream<T extends { readonly id: number }> {
  /** Has a stop string ended the text? */
  stopped = false;
  readonly #detokenizer: Detokenizer | null;
  readonly #matcher: StopMatcher | null;
  #waiting: (T & { readonly text: string }) | null = null;

  /**
   * @param tokenizer null: the model has none, and every text is empty
   * @param before the ids that the text goes on from
   */
  constructor(tokenizer: TokenTexts | null, stops: readonly string[], before: readonly number[] = []) {
    this.#detokenizer = tokenizer === null ? null : new Detokenizer(tokenizer, before);
    this.#matcher = stops.length === 0 ? null : new StopMatcher(stops);
  }

  /** Returns the tokens that need not wait any longer, each with its text. */
  add(token: T): (T & { readonly text: string })[] {
    const released = this.#waiting === null ? [] : [this.#waiting];
    const added = { ...token, text: this.#match(this.#detokenizer?.add(token.id) ?? '') };
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

  #match(piece: string): string {
    const { text, stopped } = this.#matcher?.push(piece) ?? { text: piece, stopped: false };
    this.stopped ||= stopped;
    return text;
  }
}
