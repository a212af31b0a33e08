// Brings the stored tensors of a model into the form that a forward pass multiplies with, and keeps track of which it made.
// Knows nothing of any one architecture.

import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { type LayerNorm, type Linear, outputMatrix } from './layers.js';
import { tf } from './tf.js';

/** PyTorch stores the weight of a linear layer as [out, in], and layers.ts wants [in, out]. The stored tensor is disposed. */
export function inputFirst(name: string, stored: Tensor): Tensor {
  if (stored.rank !== 2 || !/^(layers|h)\.\d+\./.test(name)) {
    return stored; // a vector, or a matrix whose rows are tokens or positions
  }
  const laid = tf.transpose(stored); // [in, out]
  stored.dispose();
  return laid;
}

/** Owns the tensors that it is given, and those that it makes of them. */
export class OwnWeights {
  readonly #stored: ReadonlyMap<string, Tensor>;
  readonly #made: Tensor[] = [];

  constructor(stored: ReadonlyMap<string, Tensor>) {
    this.#stored = stored;
  }

  /** Each weight once. */
  get parameters(): Tensor[] {
    return [...this.#stored.values(), ...this.#made].filter((tensor) => !tensor.isDisposed);
  }

  vector(name: string): Tensor1D {
    return this.#stored.get(name) as Tensor1D;
  }

  matrix(name: string): Tensor2D {
    return this.#stored.get(name) as Tensor2D;
  }

  layerNorm(name: string): LayerNorm {
    return { weight: this.vector(`${name}.weight`), bias: this.vector(`${name}.bias`) };
  }

  /** One layer of several that read the same: their outputs side by side. The tensors that it is made of are disposed. */
  linear(...names: readonly string[]): Linear {
    const weights = names.map((name) => this.matrix(`${name}.weight`));
    const biases = names.flatMap((name) => this.#stored.get(`${name}.bias`) ?? []) as Tensor1D[];
    return {
      weight: this.#joined(weights, 1), // [in, out]
      bias: biases.length === 0 ? undefined : this.#joined(biases, 0), // [out]
    };
  }

  /** What gives the logits. */
  outputMatrix(embedding: string, head: string): Tensor2D {
    return outputMatrix(this.matrix(embedding), this.#stored.get(head) as Tensor2D | undefined);
  }

  #joined<T extends Tensor>(parts: readonly T[], axis: number): T {
    const [only] = parts;
    if (only !== undefined && parts.length === 1) {
      return only;
    }
    const whole = tf.concat([...parts], axis) as T;
    this.#made.push(whole);
    tf.dispose([...parts]);
    return whole;
  }
}
