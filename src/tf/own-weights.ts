// Brings the stored tensors of a model into the form that a forward pass multiplies with, and keeps track of which it made:
// PyTorch stores a weight as [out, in], and layers.ts wants [in, out]. Knows nothing of any one architecture.

import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { type LayerNorm, type Linear, outputMatrix } from './layers.js';
import { tf } from './tf.js';

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

  /** One layer of several that read the same: their outputs side by side. The stored tensors are disposed. */
  linear(...names: readonly string[]): Linear {
    const weights = names.map((name) => this.matrix(`${name}.weight`));
    const biases = names.flatMap((name) => this.#stored.get(`${name}.bias`) ?? []) as Tensor1D[];
    return {
      weight: this.#replace(weights, () => tf.transpose(joined(weights))), // [in, out]
      bias: biases.length === 0 ? undefined : this.#replace(biases, () => joined(biases)), // [out]
    };
  }

  /** What gives the logits. */
  outputMatrix(embedding: string, head: string): Tensor2D {
    return outputMatrix(this.matrix(embedding), this.#stored.get(head) as Tensor2D | undefined);
  }

  #replace<T extends Tensor>(old: readonly T[], make: () => T): T {
    const made = tf.tidy(make);
    if (!old.includes(made)) {
      this.#made.push(made);
      tf.dispose([...old]);
    }
    return made;
  }
}

/** Rows, or numbers, behind each other. */
function joined<T extends Tensor>(tensors: readonly T[]): T {
  return tensors.length === 1 ? (tensors[0] as T) : (tf.concat([...tensors], 0) as T);
}
