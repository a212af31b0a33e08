// The added tokens of a tokenizer and their ids, as they come from one file after the other: a token of the vocabulary keeps
// its id, another gets the next one, and what is said later of a token counts. Knows nothing of where tokens come from, nor
// of how they are found in a text.
// Reference: `add_tokens` of huggingface/tokenizers src/tokenizer/added_vocabulary.rs.

import type { AddedToken } from './added-tokens.js';
import type { JsonPart } from './json-part.js';
import { MAX_IDS } from './token-ids.js';

/** An added token before it has an id. */
export interface NewToken extends Omit<AddedToken, 'id' | 'normalized' | 'isSkipped'> {
  /** undefined: special tokens are looked for in the text as it is, others where it is normalized. */
  readonly normalized: boolean | undefined;
}

export class AddedVocabulary {
  readonly #vocabulary: ReadonlyMap<string, number>;
  readonly #entries: number;
  /** What was said last of a token. */
  readonly #byId = new Map<number, NewToken>();
  readonly #ids = new Map<string, number>();
  /** The special tokens, as they were first. */
  readonly #special = new Map<string, NewToken>();
  /** All others, until they became special. */
  readonly #plain: NewToken[] = [];

  /** @param vocabulary the ids of the model's own tokens */
  /** @param entries of the vocabulary, which may have a token twice */
  constructor(vocabulary: ReadonlyMap<string, number>, entries = vocabulary.size) {
    this.#vocabulary = vocabulary;
    this.#entries = entries;
  }

  /** Its tokens by their ids. One that was special once stays special. */
  get tokens(): { id: number; content: string; special: boolean }[] {
    return Array.from(this.#byId, ([id, { content }]) => ({ id, content, special: this.#special.has(content) }));
  }

  /** What is looked for in a text. What was said of a token first decides where, what was said last decides how. */
  get patterns(): AddedToken[] {
    return [...this.#special.values(), ...this.#plain].map(({ content, normalized, special }) => {
      const id = this.#ids.get(content) as number;
      return { ...(this.#byId.get(id) as NewToken), id, content, normalized: normalized ?? !special };
    });
  }

  /** The id of any token, added or not; undefined: there is no such token. */
  idOf(content: string): number | undefined {
    return this.#ids.get(content) ?? this.#vocabulary.get(content);
  }

  has(content: string): boolean {
    return this.#ids.has(content);
  }

  isSpecial(content: string): boolean {
    return this.#special.has(content);
  }

  /** @param from where the tokens come from, for messages @throws KvgenError for more ids than a tokenizer may have */
  add(tokens: readonly NewToken[], from: JsonPart): void {
    let next = this.#nextId();
    const known = new Set(Array.from(this.#byId.values(), signature));
    for (const token of tokens.filter((one) => one.content !== '' && !known.has(signature(one)))) {
      const { content } = token;
      const id = this.idOf(content) ?? next++;
      if (id >= MAX_IDS) {
        throw from.unsupported(`more than ${MAX_IDS} tokens are not supported`);
      }
      this.#ids.set(content, id);
      this.#byId.set(id, token);
      if (!this.#special.has(content)) {
        if (token.special) {
          this.#special.set(content, token);
        } else {
          this.#plain.push(token);
        }
      }
    }
  }

  /** Behind the entries of the vocabulary, not its highest id, which is more where it has holes. */
  #nextId(): number {
    const highest = [...this.#byId.keys()].reduce((most, id) => Math.max(most, id), -1);
    return Math.max(this.#entries, highest + 1);
  }
}

/** Equal for tokens of which the same is known. */
function signature({ content, lstrip, rstrip, singleWord, normalized, special }: NewToken): string {
  return JSON.stringify([content, lstrip, rstrip, singleWord, normalized ?? !special, special]);
}
