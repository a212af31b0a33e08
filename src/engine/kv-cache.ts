// The interface of a KV cache: the keys and values of the tokens run so far. It belongs to whoever decodes, never to a
// layer or an engine. Also what every cache checks. Knows nothing of how or where an engine stores them.

import type { KvRows } from './kv-rows.js';

export interface KvCache {
  /** Cached tokens of the longest sequence, which is the position of its next token. */
  readonly length: number;
  /** Cached tokens of each sequence; [] before the first pass. */
  readonly lengths: readonly number[];
  /** Bytes of all keys and values. */
  readonly byteSize: number;
  /**
   * How many positions its owner expects it to hold in the end. An engine sees one pass at a time: by this it knows
   * from the first decode step on whether a capture pays.
   */
  expected: number;
  /**
   * Removes all tokens from position `length` of the longest sequence on.
   * @throws RangeError when `length` is not in 0 … this.length
   */
  truncate(length: number): void;
  /**
   * Shortens each sequence to a length of its own.
   * @throws RangeError when there is not one for each, or one is not in 1 … that of its sequence
   */
  truncateEach(lengths: readonly number[]): void;
  /** A second cache with the same tokens, independent of the first. */
  fork(): KvCache;
  /**
   * Copies positions [from, to) of a cache of one sequence.
   * @throws RangeError when the cache does not hold them
   */
  export(from: number, to: number): KvRows;
  /** Frees everything; the cache is then empty and may be used again. */
  dispose(): void;
}

/** Some sequences of a cache, by their indices in `lengths`. */
export interface Sequences {
  readonly cache: KvCache;
  readonly places: readonly number[];
}

/** @throws RangeError for a length that the cache cannot be cut to */
export function checkTruncate(length: number, held: number): void {
  if (!Number.isInteger(length) || length < 0 || length > held) {
    throw new RangeError(`truncate: expected 0 … ${held}, found ${length}`);
  }
}

/** @throws RangeError for lengths that the sequences cannot be cut to */
export function checkTruncateEach(lengths: readonly number[], held: readonly number[]): void {
  const fits = (length: number, b: number) => Number.isInteger(length) && length > 0 && length <= (held[b] ?? 0);
  if (lengths.length !== held.length || !lengths.every(fits)) {
    throw new RangeError(`truncateEach: expected up to ${held.join(', ')}, found ${lengths.join(', ')}`);
  }
}

/** @throws RangeError for positions that the cache does not hold */
export function checkExport(from: number, to: number, held: number): void {
  if (!(from >= 0 && from <= to && to <= held)) {
    throw new RangeError(`export: expected 0 ≤ from ≤ to ≤ ${held}, found ${from} and ${to}`);
  }
}
