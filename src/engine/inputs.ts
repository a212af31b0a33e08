// Token ids into the tensors that a forward pass takes. Positions come from the cache's length, never from a
// counter of their own.

import { tf } from '../backend/tf.js';
import type { KvCache } from '../cache/kv-cache.js';
import { causalBias, type ForwardInputs } from '../model/gpt2.js';

/** The inputs for `ids` behind what `cache` holds. The caller disposes them. */
export function forwardInputs(ids: readonly number[], cache: KvCache | null): ForwardInputs {
  const T = ids.length;
  const start = cache?.length ?? 0;
  const newest = cache?.layers?.[0]?.at(-1)?.k.shape[2] ?? 0;
  return {
    ids: tf.tensor2d(Int32Array.from(ids), [1, T], 'int32'),
    positions: tf.tensor2d(
      Int32Array.from(ids, (_, i) => start + i),
      [1, T],
      'int32',
    ),
    bias: causalBias(T, newest + T), // [T, S]
    last: tf.tensor1d(Int32Array.of(T - 1), 'int32'),
  };
}
