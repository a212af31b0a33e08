// Token ids into the tensors that a forward pass takes. Positions come from the cache's length, never from a
// counter of their own.

import type { Tensor4D } from '@tensorflow/tfjs-core';
import { causalBias, type ForwardInputs, HIDDEN } from './gpt2.js';
import type { KvCache } from './tensor-cache.js';
import { tf } from './tf.js';

/** T ids of each of B sequences, and the rows of [B·T] whose logits are asked for. */
export interface Rows {
  readonly ids: readonly (readonly number[])[];
  readonly wanted: readonly number[];
}

/** What of a cache says where its tokens are. */
type PastTokens = Pick<KvCache, 'lengths' | 'padding' | 'layers'>;

/** The inputs for `ids` behind what `cache` holds of each sequence. The caller disposes them. */
export function forwardInputs({ ids, wanted }: Rows, cache: PastTokens | null): ForwardInputs {
  const B = ids.length;
  const T = (ids[0] as readonly number[]).length;
  const starts = cache?.lengths ?? [];
  const newest = cache?.layers?.[0]?.at(-1)?.k.shape[2] ?? 0;
  const int32 = (rows: number[]) => tf.tensor2d(Int32Array.from(rows), [B, T], 'int32');
  return {
    ids: int32(ids.flat()), // [B, T]
    positions: int32(ids.flatMap((row, b) => row.map((_, t) => (starts[b] ?? 0) + t))), // [B, T]
    bias: causalBias(T, newest + T), // [T, S]
    padding: cache === null || cache.padding.every((rows) => rows === 0) ? null : paddingBias(cache), // [B, 1, 1, S]
    last: tf.tensor1d(Int32Array.from(wanted), 'int32'), // [N]
  };
}

/** For the body: hides what is before the first token of each sequence. */
function paddingBias({ padding, layers }: PastTokens): Tensor4D {
  const S = layers?.[0]?.[0]?.k.shape[2] ?? 0;
  const values = new Float32Array(padding.length * S);
  for (const [b, rows] of padding.entries()) {
    values.fill(HIDDEN, b * S, b * S + rows);
  }
  return tf.tensor4d(values, [padding.length, 1, 1, S]); // [B, 1, 1, S]
}
