// Byte pair encoding of one word: its characters become ids, and of the neighbours that can be merged the pair of the
// lowest rank is merged, the leftmost of them first, until none is left. A heap of pairs makes that n·log n for a word of n
// characters. Knows nothing of how a text is split into words.
// References: Sennrich et al. 2016; `Word::merge_all` of huggingface/tokenizers src/models/bpe/word.rs.

import { fallbackIds } from './byte-tokens.js';
import { MAX_IDS } from './token-ids.js';
import { UnknownCharacter, type WordModel } from './word-model.js';

/** Words up to this length are remembered, since texts repeat them. */
const LONGEST_KEPT = 64;
const MAX_KEPT = 20_000;
/** Ranks are multiplied with it and places in a word added, to be compared as one number. */
const PLACES = 2 ** 31;

export interface BpeOptions {
  /** A word that is a token needs no merges. */
  readonly ignoreMerges: boolean;
  /** The id for characters without a token; undefined: there is none. */
  readonly unknownId: number | undefined;
  /** Neighbours without a token become one such id. */
  readonly fuseUnknown: boolean;
  /** What has no token becomes the tokens of its bytes, where there are such. */
  readonly byteFallback: boolean;
  /** What tokens begin with that go on within a word. */
  readonly prefix: string;
  /** What tokens end with that end a word. */
  readonly suffix: string;
}

/** By their rank: pairs of ids, and the ids that they become. */
export interface Merges {
  readonly left: Int32Array;
  readonly right: Int32Array;
  readonly merged: Int32Array;
}

export class Bpe implements WordModel {
  /** Characters that had no token. */
  readonly unknown = new Set<string>();
  readonly #vocabulary: ReadonlyMap<string, number>;
  readonly #options: BpeOptions;
  /** From a pair to its rank. */
  readonly #ranks = new Map<number, number>();
  /** From a rank to the merged id. */
  readonly #merged: Int32Array;
  readonly #kept = new Map<string, readonly number[]>();

  constructor(vocabulary: ReadonlyMap<string, number>, merges: Merges, options: BpeOptions) {
    this.#vocabulary = vocabulary;
    this.#options = options;
    this.#merged = merges.merged;
    for (let rank = 0; rank < merges.left.length; rank++) {
      this.#ranks.set((merges.left[rank] as number) * MAX_IDS + (merges.right[rank] as number), rank);
    }
  }

  /** The ids of a word. @throws UnknownCharacter where there is no id for such */
  encode(word: string): readonly number[] {
    const known = this.#kept.get(word);
    if (known !== undefined) {
      return known;
    }
    const whole = this.#options.ignoreMerges ? this.#vocabulary.get(word) : undefined;
    const ids = whole === undefined ? this.#merge(this.#characters(word)) : [whole];
    if (word.length <= LONGEST_KEPT && this.unknown.size === 0) {
      this.#keep(word, ids); // one with an unknown character is to be noted again
    }
    return ids;
  }

  #keep(word: string, ids: readonly number[]): void {
    if (this.#kept.size >= MAX_KEPT) {
      this.#kept.clear();
    }
    this.#kept.set(word, ids);
  }

  #characters(word: string): number[] {
    const { prefix, suffix, byteFallback, fuseUnknown, unknownId } = this.#options;
    const ids: number[] = [];
    let waiting = false; // an unknown character has its id behind the bytes that follow it, as it is in Rust
    let start = 0;
    for (const character of word) {
      const end = start + character.length;
      const token = (start > 0 ? prefix : '') + character + (end === word.length ? suffix : '');
      const id = this.#vocabulary.get(token);
      const bytes = id === undefined && byteFallback ? fallbackIds(token, this.#vocabulary) : undefined;
      if (bytes !== undefined) {
        ids.push(...bytes);
      } else {
        if (waiting && (id !== undefined || !fuseUnknown)) {
          ids.push(unknownId as number);
        }
        if (id === undefined) {
          this.#noteUnknown(character);
        } else {
          ids.push(id);
        }
        waiting = id === undefined;
      }
      start = end;
    }
    return waiting ? [...ids, unknownId as number] : ids;
  }

  #noteUnknown(character: string): void {
    if (this.#options.unknownId === undefined) {
      throw new UnknownCharacter(character);
    }
    this.unknown.add(character);
  }

  /** @param ids changed: those that were merged into their left neighbour become −1 */
  #merge(ids: number[]): number[] {
    const next = Int32Array.from(ids, (_, i) => i + 1);
    const previous = Int32Array.from(ids, (_, i) => i - 1);
    const heap = new Heap();
    const rankAt = (i: number): number | undefined =>
      this.#ranks.get((ids[i] as number) * MAX_IDS + (ids[next[i] as number] ?? Number.NaN));
    const offer = (i: number): void => {
      const rank = rankAt(i);
      if (rank !== undefined) {
        heap.push(rank * PLACES + i);
      }
    };
    for (let i = 0; i < ids.length - 1; i++) {
      offer(i);
    }
    for (let least = heap.pop(); least !== undefined; least = heap.pop()) {
      const i = least % PLACES;
      const merged = this.#merged[(least - i) / PLACES] as number;
      if ((ids[i] as number) < 0 || this.#merged[rankAt(i) ?? -1] !== merged) {
        continue; // one of the two has been merged since
      }
      const right = next[i] as number;
      ids[i] = merged;
      ids[right] = -1;
      next[i] = next[right] as number;
      previous[next[i] as number] = i; // beyond the end this does nothing
      if (i > 0) {
        offer(previous[i] as number);
      }
      offer(i);
    }
    return ids.filter((id) => id >= 0);
  }
}

/** A binary heap of numbers, the least on top. */
class Heap {
  readonly #items: number[] = [];

  push(item: number): void {
    const items = this.#items;
    let i = items.length;
    items.push(item);
    for (let parent = (i - 1) >> 1; i > 0 && (items[parent] as number) > item; parent = (i - 1) >> 1) {
      items[i] = items[parent] as number;
      i = parent;
    }
    items[i] = item;
  }

  /** Takes the least; undefined: it is empty. */
  pop(): number | undefined {
    const items = this.#items;
    const [least] = items;
    const last = items.pop();
    if (last === undefined || items.length === 0) {
      return least;
    }
    let i = 0;
    for (let child = 1; child < items.length; child = 2 * i + 1) {
      if ((items[child + 1] ?? Number.POSITIVE_INFINITY) < (items[child] as number)) {
        child++;
      }
      if ((items[child] as number) >= last) {
        break;
      }
      items[i] = items[child] as number;
      i = child;
    }
    items[i] = last;
    return least;
  }
}
