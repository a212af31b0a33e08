// What heads look at, from the tensors of a forward pass to plain numbers for each sequence. Only where a pass asks for it. Knows
// nothing of how it was computed.

import type { Tensor4D } from '@tensorflow/tfjs-core';
import type { Pass } from '../engine/engine.js';

/**
 * @param padding positions before the first token of each sequence; []: none has any
 * @returns to be called with the weights of each layer in turn: [B, nHead, T, S]
 */
export function weightsReader(
  padding: readonly number[],
  onAttention: NonNullable<Pass['onAttention']>,
): (weights: Tensor4D) => void {
  let layer = 0;
  return (weights) => {
    const [B, nHead, T, S] = weights.shape;
    const all = weights.dataSync<'float32'>();
    for (let sequence = 0; sequence < B; sequence++) {
      const own = all.subarray(sequence * nHead * T * S, (sequence + 1) * nHead * T * S);
      const missing = padding[sequence] ?? 0;
      onAttention({ layer, sequence, from: S - missing - T, tokens: T, weights: withoutFirst(own, missing, S) });
    }
    layer++;
  };
}

/** Rows of S numbers without the first `count` of each. */
function withoutFirst(rows: Float32Array, count: number, S: number): Float32Array {
  if (count === 0) {
    return rows;
  }
  const width = S - count;
  const cut = new Float32Array((rows.length / S) * width);
  for (let row = 0; row * width < cut.length; row++) {
    cut.set(rows.subarray(row * S + count, (row + 1) * S), row * width);
  }
  return cut;
}
