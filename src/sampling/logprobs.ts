// The log-probability of a token and of the likeliest ones, from the model's own logits: before any bias, penalty or filter.
// Natural logarithms, in float64. Knows nothing of tensors or text.

import { logSumExp, selectTop } from './sampler.js';

export interface TokenLogprob {
  readonly logprob: number;
  /** The likeliest ids, best first; absent if none were asked for. */
  readonly top?: readonly { readonly id: number; readonly logprob: number }[];
}

/**
 * @param logits [vocab]
 * @param k how many of the likeliest ids to name; 0: none
 */
export function tokenLogprob(logits: Float32Array, id: number, k: number): TokenLogprob {
  const total = logSumExp(logits);
  const of = (token: number) => (logits[token] as number) - total;
  if (k === 0) {
    return { logprob: of(id) };
  }
  const best = new Int32Array(Math.min(k, logits.length));
  selectTop(logits, best.length, best);
  return { logprob: of(id), top: Array.from(best, (token) => ({ id: token, logprob: of(token) })) };
}
