// What generation needs of whatever runs the model: ids in, logits out, the cache brought forward. The eager
// engine is one; an engine that replays a captured graph fits behind the same interface.
// Knows nothing of text or sampling.

import type { Gpt2Config } from '../model/gpt2-config.js';
import type { Rows } from '../tf/inputs.js';
import type { KvCache } from '../tf/tensor-cache.js';

/** What a forward pass is made of: inputs to tensors, the model, logits and the cache brought forward. */
export type ForwardPart = 'feed' | 'graph' | 'read';

/** Prefill, and with the logits of every id; decode steps, and of several sequences together. */
export type EnginePhase = 'prefill' | 'rows' | 'decode' | 'batch';

export interface Engine {
  /** The one that runs now: a graph engine is eager until it has captured. */
  readonly name: 'eager' | 'graph';
  readonly config: Gpt2Config;
  /** An empty cache, owned by the caller. */
  newCache(): KvCache;
  /**
   * Says what is coming, so that an engine can decide whether to capture first.
   * @param tokens to prefill, or steps at most
   */
  prepare?(phase: EnginePhase, tokens: number): void;
  /**
   * Runs `ids` through the model and returns the logits of the last one.
   * @param ids at least one, each below `vocabSize`
   * @param cache the tokens before `ids`; `ids` are appended to it. null: `ids` are everything there is
   * @param onPart called when a part is done, for whoever measures
   * @returns [vocabSize], never to be written to (the memory may be shared with TensorFlow)
   */
  forward(ids: readonly number[], cache: KvCache | null, onPart?: (part: ForwardPart) => void): Float32Array;
  /**
   * Runs ids of several sequences, or asks for the logits of several ids.
   * @param rows as many ids for each of the sequences that `cache` holds
   * @param cache the tokens before them; null: there are none, and nothing is kept
   * @returns [wanted, vocabSize] in one array, never to be written to
   */
  forwardRows(rows: Rows, cache: KvCache | null): Float32Array;
  /** TF.js tensors alive now: constant from token to token. */
  numTensors(): number;
  /** Frees the weights. Safe to call twice. */
  dispose(): void;
}

/** One sequence, and the logits of its last id. */
export function lastRow(ids: readonly number[]): Rows {
  return { ids: [ids], wanted: [ids.length - 1] };
}
