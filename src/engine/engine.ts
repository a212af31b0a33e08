// What generation needs of whatever runs a model: ids in, logits out, the cache brought forward. An engine is a folder
// of its own; nobody outside of it sees how it computes. Knows nothing of text or sampling.

import type { ModelConfig } from '../model/config.js';
import type { KvCache, Sequences } from './kv-cache.js';
import type { KvRows } from './kv-rows.js';

/** T ids of each of B sequences, and which of their logits are wanted. */
export interface Pass {
  /** B lists of T ids, each at least one and below `vocabSize`. */
  readonly ids: readonly (readonly number[])[];
  /** Places b·T + t of the ids whose next token is asked for, at least one: only these meet the vocabulary matrix. */
  readonly wanted: readonly number[];
}

/** The parts of a forward pass, for whoever measures: ids in, the model, logits out and the cache brought forward. */
export type ForwardPart = 'feed' | 'graph' | 'read';

export interface Engine {
  /** How it runs now: one that records its passes begins without a recording. */
  readonly name: string;
  readonly config: ModelConfig;
  /** Numbers in the weights, each counted once. */
  readonly parameters: number;
  /** A cache of its own kind, the caller's to dispose: empty, or with these positions of one sequence. */
  newCache(positions?: KvRows): KvCache;
  /** A new cache of several sequences, which end together: the shorter ones begin later. `sources` are borrowed. */
  gather(sources: readonly Sequences[]): KvCache;
  /**
   * Runs ids through the model.
   * @param cache the tokens before `ids`, of as many sequences; `ids` are appended to it. null: there are none before,
   *   and nothing is kept
   * @param onPart called when a part is done
   * @returns logits [vocabSize] for each that is wanted; never to be written to
   */
  forward(pass: Pass, cache: KvCache | null, onPart?: (part: ForwardPart) => void): readonly Float32Array[];
  /** Tensors alive now: constant from token to token. */
  numTensors(): number;
  /** Frees the weights. Safe to call twice. */
  dispose(): void;
}
