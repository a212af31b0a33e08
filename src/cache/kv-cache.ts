// The KV cache: keys and values of every past token, for all layers. It belongs to whoever decodes, never to
// a layer, and is the only thing that keeps tensors from step to step. Knows nothing of the model's weights.
// Tensors are immutable, so a fork shares them; an append replaces a layer's pair and disposes the old one.

import type { Tensor4D } from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-core';
import type { KeyValue } from '../model/gpt2.js';

/** Keys and values of the tokens run so far, `[B, nHead, length, headDim]` each, one pair a layer. */
export class KvCache {
  #layers: readonly KeyValue[] | null = null;

  /** Tokens already cached: the position of the next one. */
  get length(): number {
    return this.#layers?.[0]?.k.shape[2] ?? 0;
  }

  /** Bytes of the positions in use: 2 · nLayer · B · nEmbd · 4 · length. */
  get byteSize(): number {
    return (this.#layers ?? []).reduce((sum, { k, v }) => sum + 4 * (k.size + v.size), 0);
  }

  /** What attention reads, borrowed: one pair a layer, or null while the cache is empty. */
  get layers(): readonly KeyValue[] | null {
    return this.#layers;
  }

  /**
   * Takes over the keys and values of past and new tokens together, as the forward pass returns them, and
   * disposes those it held.
   * @param presents one pair a layer, `[B, nHead, length + T, headDim]`; the cache owns them from here on
   */
  append(presents: readonly KeyValue[]): void {
    this.#replace(presents.map(({ k, v }) => ({ k: tf.keep(k), v: tf.keep(v) })));
  }

  /**
   * Forgets all tokens from position `length` on.
   * @throws RangeError when `length` is not in 0 … this.length
   */
  truncate(length: number): void {
    if (!Number.isInteger(length) || length < 0 || length > this.length) {
      throw new RangeError(`truncate: expected 0 … ${this.length}, found ${length}`);
    }
    if (length === 0) {
      this.#replace(null);
    } else if (length < this.length) {
      this.#replace(this.#map((tensor) => tf.slice(tensor, [0, 0, 0, 0], [-1, -1, length, -1])));
    }
  }

  /** A second cache with the same tokens; costs no copy. Either may be appended to or disposed alone. */
  fork(): KvCache {
    const fork = new KvCache();
    fork.#layers = this.#layers === null ? null : this.#map((tensor) => tf.clone(tensor));
    return fork;
  }

  /** Frees everything; the cache is then empty and may be used again. */
  dispose(): void {
    this.#replace(null);
  }

  #map(change: (tensor: Tensor4D) => Tensor4D): KeyValue[] {
    return (this.#layers ?? []).map(({ k, v }) => ({ k: tf.keep(change(k)), v: tf.keep(change(v)) }));
  }

  #replace(layers: readonly KeyValue[] | null): void {
    const old = this.#layers ?? [];
    this.#layers = layers;
    tf.dispose(old.flatMap(({ k, v }) => [k, v]));
  }
}
