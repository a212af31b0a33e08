// The eager engine: every TF.js op runs as it is called. The reference for any faster engine, and the only
// one on the wasm and cpu backends. Knows nothing of text or sampling.

import type { Tensor2D } from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-core';
import { KvCache } from '../cache/kv-cache.js';
import type { Gpt2Config } from '../config.js';
import { forward, type Gpt2Weights } from '../model/gpt2.js';
import type { Engine } from './engine.js';

export class EagerEngine implements Engine {
  readonly name = 'eager';
  readonly config: Gpt2Config;
  readonly #weights: Gpt2Weights;

  /** @param weights the engine owns them from here on */
  constructor(config: Gpt2Config, weights: Gpt2Weights) {
    this.config = config;
    this.#weights = weights;
  }

  newCache(): KvCache {
    return new KvCache();
  }

  forward(ids: readonly number[], cache: KvCache | null): Float32Array {
    return tf.tidy(() => {
      const start = cache?.length ?? 0;
      const tokens = row(ids); // [1, T]
      const positions = row(ids.map((_, i) => start + i)); // [1, T]
      const { logits, presents } = forward(this.config, this.#weights, tokens, positions, cache?.layers ?? null);
      cache?.append(presents);
      return logits.dataSync<'float32'>();
    });
  }

  numTensors(): number {
    return tf.memory().numTensors;
  }

  dispose(): void {
    const { h, ...rest } = this.#weights;
    tf.dispose([rest, h] as unknown as tf.TensorContainer);
  }
}

function row(values: readonly number[]): Tensor2D {
  return tf.tensor2d(Int32Array.from(values), [1, values.length], 'int32'); // [1, T]
}
