// The layers that the forward passes are made of, apart from attention: products, norms, activations. Pure functions of
// their arguments. Knows nothing of any one architecture.

import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import type { Activation } from '../model/activations.js';
import { tf } from './tf.js';

/** A weight as [in, out]: oneDNN multiplies several tokens by it twenty times faster than by one as [out, in]. */
export interface Linear {
  readonly weight: Tensor2D; // [in, out]
  readonly bias: Tensor1D | undefined; // [out]
}

export function linear(x: Tensor2D, { weight, bias }: Linear): Tensor2D {
  const product: Tensor2D = tf.matMul(x, weight); // [B·T, out]
  return bias === undefined ? product : tf.add(product, bias);
}

export interface LayerNorm {
  readonly weight: Tensor1D; // [C]
  readonly bias: Tensor1D; // [C]
}

export function layerNorm(x: Tensor2D, { weight, bias }: LayerNorm, epsilon: number): Tensor2D {
  const centred = tf.sub(x, tf.mean(x, -1, true));
  const variance = tf.mean(tf.square(centred), -1, true); // [B·T, 1]
  return tf.add(tf.mul(tf.mul(centred, tf.rsqrt(tf.add(variance, epsilon))), weight), bias);
}

/** x / √(mean(x²) + ε) · weight, over the last dimension. Source: Zhang and Sennrich 2019. */
export function rmsNorm<T extends Tensor>(x: T, weight: Tensor1D, epsilon: number): T {
  const meanSquare = tf.mean(tf.square(x), -1, true); // [..., 1]
  return tf.mul(tf.mul(x, tf.rsqrt(tf.add(meanSquare, epsilon))), weight);
}

/** The activation of the MLP; the formulas are those of transformers' activations.py. */
export function activate(name: Activation, x: Tensor2D): Tensor2D {
  switch (name) {
    case 'gelu_new':
      return gelu(x, tf.tanh(tf.mul(tf.add(x, tf.mul(tf.mul(tf.square(x), x), 0.044715)), Math.sqrt(2 / Math.PI))));
    case 'gelu':
      return gelu(x, tf.erf(tf.mul(x, Math.SQRT1_2)));
    case 'relu':
      return tf.relu(x);
    case 'silu':
      return tf.mul(x, tf.sigmoid(x));
    case 'tanh':
      return tf.tanh(x);
    case 'quick_gelu':
      return tf.mul(x, tf.sigmoid(tf.mul(x, 1.702)));
    case 'gelu_10':
      return tf.minimum(activate('gelu', x), 10); // gelu is nowhere below −10
    case 'mish':
      return tf.mul(x, tf.tanh(tf.softplus(x)));
    case 'leaky_relu':
      return tf.maximum(x, tf.mul(x, 0.01));
    case 'linear':
      return x;
    case 'relu2':
      return tf.square(tf.relu(x));
    case 'relu6':
      return tf.relu6(x);
  }
}

/** ½·x·(1 + s), where s is erf(x/√2) or its approximation by tanh. */
function gelu(x: Tensor2D, s: Tensor): Tensor2D {
  return tf.mul(tf.mul(x, 0.5), tf.add(s, 1));
}

/** As in transformers 5 a stored lm_head is used even where the config says tied. An equal copy of the embedding is dropped. */
export function outputMatrix(embedding: Tensor2D, head: Tensor2D | undefined): Tensor2D {
  if (head === undefined) {
    return embedding;
  }
  const [rows, output] = [embedding.dataSync(), head.dataSync()];
  if (!output.every((value, i) => value === rows[i])) {
    return head;
  }
  head.dispose();
  return embedding;
}
