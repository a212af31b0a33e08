// Positions of a KvCache as plain numbers, and back: for whoever keeps them outside of TensorFlow. Knows nothing of
// files.

import type { Tensor4D } from '@tensorflow/tfjs-core';
import type { Past } from './gpt2.js';
import { KvCache } from './tensor-cache.js';
import { tf } from './tf.js';
import { tidyNumbers } from './tidy.js';

/** Keys and values of some positions, one pair a layer, [nHead, length, headDim] each. */
export interface KvRows {
  readonly length: number;
  readonly layers: readonly { readonly k: Float32Array; readonly v: Float32Array }[];
}

/**
 * Copies positions [from, to) out of a cache of one sequence.
 * @throws RangeError when the cache does not hold them
 */
export function exportRows(cache: KvCache, from: number, to: number): KvRows {
  if (!(from >= 0 && from <= to && to <= cache.length)) {
    throw new RangeError(`exportRows: expected 0 ≤ from ≤ to ≤ ${cache.length}, found ${from} and ${to}`);
  }
  const layers = (cache.layers ?? []).map((past) => ({
    k: readSide(past, 'k', from, to),
    v: readSide(past, 'v', from, to),
  }));
  return { length: to - from, layers };
}

/** A new cache that holds these positions as its first; the caller disposes it. */
export function importRows({ length, layers }: KvRows, nHead: number): KvCache {
  const cache = new KvCache();
  if (length > 0) {
    const tensor = (values: Float32Array): Tensor4D =>
      tf.tensor4d(values, [1, nHead, length, values.length / nHead / length]); // [B, nHead, length, headDim]
    const presents = layers.map(({ k, v }) => ({ k: tensor(k), v: tensor(v) }));
    cache.append(presents);
  }
  return cache;
}

/** Keys or values of one layer, from the segments that hold them. */
function readSide(past: Past, side: 'k' | 'v', from: number, to: number): Float32Array {
  return tidyNumbers(() => {
    let start = 0;
    const pieces = past.flatMap((segment) => {
      const rows = segment[side].shape[2];
      const [begin, end] = [Math.max(from, start) - start, Math.min(to, start + rows) - start];
      start += rows;
      return end > begin ? [tf.slice(segment[side], [0, 0, begin, 0], [-1, -1, end - begin, -1])] : [];
    });
    const [first] = pieces;
    return first === undefined
      ? new Float32Array()
      : tf.concat<Tensor4D>(pieces as [Tensor4D], 2).dataSync<'float32'>(); // [1, nHead, to - from, headDim]
  });
}
