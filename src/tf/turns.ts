// Rotary positions on TF.js: queries and keys are turned by an angle that grows with their position, so that a score depends on
// how far apart two tokens are. Keys are turned once, and lie in the cache as they are. Source: Su et al. 2021.

import type { Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import type { Rotary } from '../model/rotary.js';
import { anyNumber } from './attention.js';
import { tf } from './tf.js';

/** Cosine and sine of each new token's angles. */
export interface Turns {
  readonly cos: Tensor4D; // [B, 1, T, dimensions / 2]
  readonly sin: Tensor4D; // [B, 1, T, dimensions / 2]
}

/** @param positions [B, T] int32 */
export function turnsOf({ inverseFrequencies }: Rotary, positions: Tensor2D): Turns {
  const [B, T] = positions.shape;
  const [b, t] = anyNumber(B, T);
  const place: Tensor4D = tf.reshape(tf.cast(positions, 'float32'), [b, 1, t, 1]);
  const angles = tf.mul<Tensor4D>(place, tf.tensor1d([...inverseFrequencies])); // [B, 1, T, dimensions / 2]
  return { cos: tf.cos(angles), sin: tf.sin(angles) };
}

/**
 * Turns number i of each head with number i + dimensions / 2, as a point of the plane; the numbers behind stay.
 * @param x [B, heads, T, headDim]
 */
export function turned(x: Tensor4D, { dimensions }: Rotary, { cos, sin }: Turns): Tensor4D {
  const half = dimensions / 2;
  const rest = x.shape[3] - dimensions;
  const [a, b, ...kept] = tf.split<Tensor4D>(x, rest === 0 ? [half, half] : [half, half, rest], 3) as [
    Tensor4D,
    Tensor4D,
    ...Tensor4D[],
  ]; // [B, heads, T, half], [B, heads, T, half], [B, heads, T, rest]
  const first = tf.sub<Tensor4D>(tf.mul(a, cos), tf.mul(b, sin));
  const second = tf.add<Tensor4D>(tf.mul(b, cos), tf.mul(a, sin));
  return tf.concat([first, second, ...kept], 3); // [B, heads, T, headDim]
}
