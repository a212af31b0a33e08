// Unigram: each token has a score, and of all ways to write a word in tokens the one with the highest sum is taken; of equal
// ones the one whose last token is the longest. A character without a token costs more than any token. Knows nothing of
// how a text is split into words.
// References: Kudo 2018; `encode_optimized` of huggingface/tokenizers src/models/unigram/model.rs.

import { fallbackIds } from './byte-tokens.js';
import { PrefixSearch } from './prefix-search.js';
import { UnknownCharacter, type WordModel } from './word-model.js';

/** How much less than the least of all scores an unknown character has. */
const UNKNOWN_PENALTY = 10;
/** Words up to this length are remembered, since texts repeat them. */
const LONGEST_KEPT = 64;
const MAX_KEPT = 20_000;

export interface UnigramOptions {
  /** undefined: there is no token for what has none. */
  readonly unknownId: number | undefined;
  /** What has no token becomes the tokens of its bytes, where there are such. */
  readonly byteFallback: boolean;
}

export class Unigram implements WordModel {
  /** What had no token. */
  readonly unknown = new Set<string>();
  readonly #ids: ReadonlyMap<string, number>;
  /** By id. */
  readonly #scores: Float64Array;
  readonly #unknownScore: number;
  readonly #options: UnigramOptions;
  readonly #search: PrefixSearch;
  readonly #kept = new Map<string, readonly number[]>();

  /** @param scores by id, finite */
  constructor(ids: ReadonlyMap<string, number>, scores: Float64Array, options: UnigramOptions) {
    this.#ids = ids;
    this.#scores = scores;
    this.#unknownScore =
      scores.reduce((least, score) => Math.min(least, score), Number.POSITIVE_INFINITY) - UNKNOWN_PENALTY;
    this.#options = options;
    this.#search = new PrefixSearch(ids.keys());
  }

  encode(word: string): readonly number[] {
    const known = this.#kept.get(word);
    if (known !== undefined) {
      return known;
    }
    const ids = this.#parts(word).flatMap((part) => this.#idsOf(part));
    if (word.length <= LONGEST_KEPT && this.unknown.size === 0) {
      if (this.#kept.size >= MAX_KEPT) {
        this.#kept.clear();
      }
      this.#kept.set(word, ids); // one with something unknown is to be noted again
    }
    return ids;
  }

  /** A part is a token, or a stretch without any. */
  #idsOf(part: string): readonly number[] {
    const id = this.#ids.get(part);
    if (id !== undefined) {
      return [id];
    }
    const bytes = this.#options.byteFallback ? fallbackIds(part, this.#ids) : undefined;
    if (bytes !== undefined) {
      return bytes;
    }
    const { unknownId } = this.#options;
    const [first = ''] = part;
    if (unknownId === undefined) {
      throw new UnknownCharacter(first);
    }
    this.unknown.add(first);
    return [unknownId];
  }

  /** Viterbi's search: the best way to each place, then back from the end. */
  #parts(word: string): string[] {
    const starts = new Int32Array(word.length + 1).fill(-1);
    const isUnknown = new Uint8Array(word.length + 1);
    const best = new Float64Array(word.length + 1);
    const offer = (start: number, end: number, score: number, unknown: boolean): void => {
      const sum = score + (best[start] as number);
      if ((starts[end] as number) < 0 || sum > (best[end] as number)) {
        best[end] = sum;
        starts[end] = start;
        isUnknown[end] = unknown ? 1 : 0;
      }
    };
    for (let start = 0; start < word.length; ) {
      const next = start + ((word.codePointAt(start) as number) > 0xffff ? 2 : 1);
      let hasSingle = false;
      for (const token of this.#search.at(word, start)) {
        const id = this.#ids.get(token) as number;
        offer(start, start + token.length, this.#scores[id] as number, id === this.#options.unknownId);
        hasSingle ||= start + token.length === next;
      }
      if (!hasSingle) {
        offer(start, next, this.#unknownScore, true);
      }
      start = next;
    }
    return partsOf(word, starts, isUnknown);
  }
}

/** Neighbours that are unknown are one part. */
function partsOf(word: string, starts: Int32Array, isUnknown: Uint8Array): string[] {
  const parts: string[] = [];
  for (let end = word.length; end > 0; ) {
    let start = starts[end] as number;
    while (isUnknown[end] === 1 && start > 0 && isUnknown[start] === 1) {
      start = starts[start] as number;
    }
    parts.push(word.slice(start, end));
    end = start;
  }
  return parts.reverse();
}
