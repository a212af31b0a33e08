// The eager engine: every TF.js op runs as it is called. The reference for any faster engine, and the only
// one on the wasm and cpu backends. Knows nothing of text or sampling.

import type { TensorContainer } from '@tensorflow/tfjs-core';
import { type Engine, type ForwardPart, lastRow } from '../engine/engine.js';
import type { Gpt2Config } from '../model/gpt2-config.js';
import { forward, type Gpt2Weights, type Past } from './gpt2.js';
import { forwardInputs, type Rows } from './inputs.js';
import { KvCache } from './tensor-cache.js';
import { tf } from './tf.js';
import { tidyNumbers } from './tidy.js';

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

  forward(ids: readonly number[], cache: KvCache | null, onPart?: (part: ForwardPart) => void): Float32Array {
    return this.#run(lastRow(ids), cache, onPart);
  }

  forwardRows(rows: Rows, cache: KvCache | null): Float32Array {
    return this.#run(rows, cache);
  }

  numTensors(): number {
    return tf.memory().numTensors;
  }

  dispose(): void {
    tf.dispose(this.weights as unknown as TensorContainer);
  }

  #run(rows: Rows, cache: KvCache | null, onPart?: (part: ForwardPart) => void): Float32Array {
    return tidyNumbers(() => {
      const inputs = forwardInputs(rows, cache);
      onPart?.('feed');
      const { logits, presents } = forward(this.config, this.weights, inputs, past(cache));
      onPart?.('graph');
      cache?.append(presents);
      const values = logits.dataSync<'float32'>();
      onPart?.('read');
      return values;
    });
  }
}

/** Empty segments add nothing, and the wasm backend does not take them. */
function past(cache: KvCache | null): readonly Past[] | null {
  return (
    cache?.layers?.map((segments) => segments.filter(({ k }, i) => k.size > 0 || i === segments.length - 1)) ?? null
  );
}
