// The log-probability of a token and of the likeliest ones, from the model's own logits: before any bias, penalty or filter.
// Natural logarithms, in float64. Knows nothing of tensors or text.

import { exp } from '../exp.js';
import { checkLogits, highest } from './finite.js';
import { selectTop } from './select-top.js';

export interface TokenLogprob {
  readonly logprob: number;
  /** The likeliest ids, best first; absent if none were asked for. */
  readonly top?: readonly { readonly id: number; readonly logprob: number }[];
}

/**
 * @param logits [vocab]
 * @param k how many of the likeliest ids to name; 0: none
 * @throws KvgenError for logits that are not numbers
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

/**
 * log(Σ exp(logit)) of raw logits [vocab]. A logit minus this number is a log-probability.
 * @throws KvgenError for logits that are not numbers
 */
export function logSumExp(logits: Float32Array): number {
  const max = highest(logits);
  checkLogits(logits, max);
  let sum = 0;
  for (let id = 0; id < logits.length; id++) {
    sum += exp((logits[id] as number) - max);
  }
  return max + Math.log(sum);
}

/**
 * The natural logarithm of an id's probability under the softmax of raw logits [vocab].
 * @throws KvgenError for logits that are not numbers
 */
export function logprobOf(logits: Float32Array, id: number): number {
  return (logits[id] as number) - logSumExp(logits);
}
