// The interface of whatever runs a model: ids go in, logits come out, and the cache grows. Each engine is a folder of
// its own, and nobody outside sees how it computes. Knows nothing of text or sampling.

import type { ModelConfig } from '../model/config.js';
import type { KvCache, Sequences } from './kv-cache.js';
import type { KvRows } from './kv-rows.js';

export interface Pass {
  /** For each of B sequences T ids, at least one, each below `vocabSize`. T may differ between them where `ragged` says so. */
  readonly ids: readonly (readonly number[])[];
  /** Indices of the ids whose logits are wanted, counted through all sequences: b·T + t. At least one. No other logits are computed. */
  readonly wanted: readonly number[];
  /** true: passes like this one may run several ids of a sequence, and want the logits of each. An engine that records knows by it what. */
  readonly drafts?: boolean | undefined;
  /**
   * Called within the pass for each layer and sequence, several times where the tokens of a sequence run in parts. Left out,
   * as it is but for pictures of a run, no weight is read; given, the pass takes longer.
   */
  readonly onAttention?: ((attention: LayerAttention) => void) | undefined;
}

/** How much each head of a layer took from each position, for some tokens of one sequence that follow each other. */
export interface LayerAttention {
  readonly layer: number;
  /** Index of the sequence in `Pass.ids`. */
  readonly sequence: number;
  /** Position of the first of the tokens, and how many they are, T. */
  readonly from: number;
  readonly tokens: number;
  /** [nHead, T, from + T]: a row sums to 1, and is 0 where a position is not seen. Lent until the call returns. */
  readonly weights: Float32Array;
}

/** What a pass spends its time on: the inputs; the model; appending to the cache and reading the logits. */
export type ForwardPart = 'feed' | 'graph' | 'read';

export interface Engine {
  /** How it runs now, which changes when an engine has made a recording. */
  readonly name: string;
  readonly config: ModelConfig;
  /** How many numbers the weights have; a shared matrix counts once. */
  readonly parameters: number;
  /** May the sequences of one pass differ in how many ids they run? */
  readonly ragged: boolean;
  /**
   * What a pass over so many ids of one sequence costs, in passes of one id, as it is known without measuring. null: it may
   * be measured, since the logits, keys and values of an id are the same to the bit, whatever else the pass runs.
   */
  readonly passCost: ((ids: number) => number) | null;
  /** A cache that the caller disposes: empty, or with these positions of one sequence. */
  newCache(positions?: KvRows): KvCache;
  /** A new cache of several sequences, with padding before the shorter ones. `sources` are borrowed. */
  gather(sources: readonly Sequences[]): KvCache;
  /**
   * Runs ids through the model.
   * @param cache holds the past of each sequence, and is appended to; null: there is no past, and nothing is kept
   * @param onPart called when a part is done
   * @returns logits [vocabSize] for each wanted id, not to be written to. They are borrowed: the next call of `forward`
   *   may overwrite them, whoever makes it, so they are used at once or copied, and never kept over an `await`. Their
   *   memory may be shared with other threads
   */
  forward(pass: Pass, cache: KvCache | null, onPart?: (part: ForwardPart) => void): readonly Float32Array[];
  /** The number of tensors alive now, which does not grow from token to token. */
  numTensors(): number;
  /** Frees the weights. Safe to call twice. */
  dispose(): void;
}
