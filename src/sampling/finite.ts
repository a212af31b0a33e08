// Weights that are damaged give logits that are not numbers. Whoever takes logits for an answer asks here first.

import { KvgenError } from '../errors.js';
import { argmax } from './scan.js';

/**
 * @param max the highest of the logits; NaN if one of them is
 * @param what stops, such as `generation stopped: `
 * @throws KvgenError that says what is wrong, if the highest logit is not a finite number
 */
export function checkLogits(logits: Float32Array, max = highest(logits), what = ''): void {
  if (Number.isNaN(max)) {
    throw damaged(what, 'NaN', logits.findIndex(Number.isNaN));
  }
  if (max === Number.POSITIVE_INFINITY) {
    throw damaged(what, 'Infinity', logits.indexOf(max));
  }
  if (max === Number.NEGATIVE_INFINITY) {
    throw damaged(what, '-Infinity everywhere, first', 0);
  }
}

/** NaN if one of them is. */
export function highest(logits: Float32Array): number {
  return logits[argmax(logits)] ?? Number.NaN;
}

function damaged(what: string, found: string, id: number): KvgenError {
  return new KvgenError(
    `${what}the model's logits are not numbers (${found} at id ${id}); the weights are probably damaged`,
  );
}
