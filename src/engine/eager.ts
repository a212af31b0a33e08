// The eager engine: every TF.js op runs as it is called. The reference for any faster engine, and the only
// one on the wasm and cpu backends. Knows nothing of text or sampling.

import * as tf from '@tensorflow/tfjs-core';
import { KvCache } from '../cache/kv-cache.js';
import type { Gpt2Config } from '../config.js';
import { forward, type Gpt2Weights, type Past } from '../model/gpt2.js';
import type { Engine } from './engine.js';
import { forwardInputs } from './inputs.js';

export class EagerEngine implements Engine {
  readonly name = 'eager';
  readonly config: Gpt2Config;
  readonly weights: Gpt2Weights;

  /** @param weights the engine owns them from here on */
  constructor(config: Gpt2Config, weights: Gpt2Weights) {
    this.config = config;
    this.weights = weights;
  }

  newCache(): KvCache {
    return new KvCache();
  }

  forward(ids: readonly number[], cache: KvCache | null): Float32Array {
    return tf.tidy(() => {
      const { logits, presents } = forward(this.config, this.weights, forwardInputs(ids, cache), past(cache));
      cache?.append(presents);
      return logits.dataSync<'float32'>();
    });
  }

  numTensors(): number {
    return tf.memory().numTensors;
  }

  dispose(): void {
    tf.dispose(this.weights as unknown as tf.TensorContainer);
  }
}

/** Empty segments add nothing, and the wasm backend does not take them. */
function past(cache: KvCache | null): readonly Past[] | null {
  return cache?.layers?.map((segments) => segments.filter(({ k }, i) => k.size > 0 || i === segments.length - 1)) ?? null;
}
