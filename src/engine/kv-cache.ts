// The KV cache as everybody but its engine sees it: keys and values of every token run so far. It belongs to whoever
// decodes, never to a layer or an engine. Knows nothing of how or where an engine keeps them.

import type { KvRows } from './kv-rows.js';

export interface KvCache {
  /** Tokens already cached, of the longest sequence: the position of its next one. */
  readonly length: number;
  /** Tokens already cached of each sequence; none before the first. */
  readonly lengths: readonly number[];
  /** Bytes of the positions in use. */
  readonly byteSize: number;
  /** Positions that it is going to hold, as far as its owner knows: an engine may prepare for that many. */
  expected: number;
  /**
   * Forgets all tokens from position `length` of the longest sequence on.
   * @throws RangeError when `length` is not in 0 … this.length
   */
  truncate(length: number): void;
  /** A second cache with the same tokens; either may be appended to or disposed alone. */
  fork(): KvCache;
  /**
   * Copies positions [from, to) of a cache of one sequence.
   * @throws RangeError when the cache does not hold them
   */
  export(from: number, to: number): KvRows;
  /** Frees everything; the cache is then empty and may be used again. */
  dispose(): void;
}

/** Some sequences of a cache, by their places in it. */
export interface Sequences {
  readonly cache: KvCache;
  readonly places: readonly number[];
}
