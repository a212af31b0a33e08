// Finds the tokens that a text has at a place: those that are beginnings of what follows there. They are kept in the order
// of their UTF-16 units, where those with a common beginning are neighbours, and the part that still fits is narrowed
// unit by unit. Knows nothing of ids.

import { shown } from '../errors.js';
import type { JsonPart } from './json-part.js';

/** A longer token would make the search slow. */
const LONGEST_TOKEN = 1000;

/** @throws KvgenError for a token that is too long to be searched for */
export function checkLengths(vocab: JsonPart, tokens: readonly (string | undefined)[]): void {
  const token = tokens.find((one) => one !== undefined && one.length > LONGEST_TOKEN);
  if (token !== undefined) {
    const what = `${shown(token)} has ${token.length} characters, more than ${LONGEST_TOKEN}`;
    throw vocab.unsupported(`a token is too long: ${what}`);
  }
}

export class PrefixSearch {
  /** No two are equal, none is empty. */
  readonly #tokens: readonly string[];
  /** From a first unit to the part of #tokens that begins with it. */
  readonly #parts = new Map<number, { readonly low: number; high: number }>();

  /** @param tokens that `checkLengths` has seen */
  constructor(tokens: Iterable<string>) {
    this.#tokens = [...new Set(tokens)].filter((token) => token !== '').sort((a, b) => (a < b ? -1 : 1));
    for (const [i, token] of this.#tokens.entries()) {
      const unit = token.charCodeAt(0);
      const part = this.#parts.get(unit) ?? { low: i, high: i };
      part.high = i + 1;
      this.#parts.set(unit, part);
    }
  }

  /** @yields the tokens that `text` has at `start`, the shortest first */
  *at(text: string, start: number): Generator<string, void> {
    let { low, high } = this.#parts.get(text.charCodeAt(start)) ?? { low: 0, high: 0 };
    for (let length = 1; low < high; length++) {
      const first = this.#tokens[low] as string; // the shortest of those that begin as the text does
      if (first.length === length) {
        yield first;
        low++;
      }
      if (start + length === text.length) {
        return;
      }
      const unit = text.charCodeAt(start + length);
      low = this.#firstFrom(low, high, length, unit);
      high = this.#firstFrom(low, high, length, unit + 1);
    }
  }

  /** By bisection: the first token of a part whose unit at `index` is at least `unit`. */
  #firstFrom(low: number, high: number, index: number, unit: number): number {
    let [from, to] = [low, high];
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((this.#tokens[middle] as string).charCodeAt(index) >= unit) {
        to = middle;
      } else {
        from = middle + 1;
      }
    }
    return from;
  }
}
