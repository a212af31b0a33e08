// The captured engine: the forward pass recorded once and replayed as one TensorFlow graph call, for decode
// steps and prefill chunks alike. Until it has captured, and whenever that fails, it is the eager engine.

import type { Tensor, Tensor1D, Tensor2D, Tensor4D, TensorContainer } from '@tensorflow/tfjs-core';
import { tf } from '../backend/tf.js';
import { tidyNumbers } from '../backend/tidy.js';
import { KvCache } from '../cache/kv-cache.js';
import type { Gpt2Config } from '../config.js';
import { errorMessage } from '../errors.js';
import {
  causalBias,
  type ForwardInputs,
  forward,
  type Gpt2Weights,
  type KeyValue,
  type Past,
  parameters,
} from '../model/gpt2.js';
import { argmax } from '../sampling/sampler.js';
import { type Captured, type CaptureOptions, capture } from './capture.js';
import { EagerEngine } from './eager.js';
import type { Engine, ForwardPart } from './engine.js';
import { forwardInputs } from './inputs.js';

/** Decode steps from which a capture pays: each saves a half to five sixths, the capture costs about twelve. */
const MIN_STEPS = 24;
/** Parameters × prompt tokens from which prefill on all threads repays the capture. */
const MIN_PREFILL_WORK = 3e10;
/** The largest difference to eager, as a share of the largest logit. */
const TOLERANCE = 1e-4;
/** Inputs before the past: ids, positions, bias, last. */
const INPUTS = 4;

export interface GraphOptions extends CaptureOptions {
  /** Capture whether it pays or not. */
  readonly always: boolean;
  /** Told why the engine stays eager. */
  readonly onNote: (line: string) => void;
}

export class GraphEngine implements Engine {
  readonly config: Gpt2Config;
  readonly #eager: EagerEngine;
  readonly #options: GraphOptions;
  readonly #parameters: readonly Tensor[];
  #captured: Captured | null = null;
  #failed = false;

  /** @param weights the engine owns them from here on */
  constructor(config: Gpt2Config, weights: Gpt2Weights, options: GraphOptions) {
    this.config = config;
    this.#eager = new EagerEngine(config, weights);
    this.#parameters = parameters(weights);
    this.#options = options;
  }

  get name(): 'eager' | 'graph' {
    return this.#captured === null ? 'eager' : 'graph';
  }

  newCache(): KvCache {
    return new KvCache();
  }

  prepare(phase: 'prefill' | 'decode', tokens: number): void {
    const size = this.#parameters.reduce((sum, tensor) => sum + tensor.size, 0);
    const pays = phase === 'decode' ? tokens >= MIN_STEPS : tokens * size >= MIN_PREFILL_WORK;
    if (this.#captured === null && !this.#failed && (pays || this.#options.always)) {
      this.#capture();
    }
  }

  forward(ids: readonly number[], cache: KvCache | null, onPart?: (part: ForwardPart) => void): Float32Array {
    if (this.#captured === null || cache === null) {
      return this.#eager.forward(ids, cache, onPart);
    }
    const captured = this.#captured;
    return tidyNumbers(() => {
      const inputs = flatten(forwardInputs(ids, cache), cache.layers ?? emptyPast(this.config));
      onPart?.('feed');
      const [logits, ...presents] = captured.run(inputs) as [Tensor2D, ...Tensor4D[]];
      onPart?.('graph');
      cache.append(pairs(presents));
      const values = logits.dataSync<'float32'>();
      onPart?.('read');
      return values;
    });
  }

  numTensors(): number {
    return this.#eager.numTensors();
  }

  dispose(): void {
    this.#captured?.dispose();
    this.#captured = null;
    this.#failed = true;
    this.#eager.dispose();
  }

  /** Records at one token with a past of 1 + 1, and keeps it only if it agrees with eager elsewhere. */
  #capture(): void {
    try {
      this.#captured = tf.tidy(() => {
        const captured = capture(
          (inputs) => this.#run(inputs),
          this.#example([0], 1, 1),
          this.#parameters,
          this.#options,
        );
        this.#check(captured, this.#example([1, 2], 3, 2));
        return captured as unknown as TensorContainer;
      }) as unknown as Captured;
    } catch (error) {
      this.#failed = true;
      this.#options.onNote(`the engine stays eager: ${errorMessage(error)}`);
    }
  }

  /** The forward pass with all its tensors in one list, as capture wants it. */
  #run(inputs: readonly Tensor[]): Tensor[] {
    const [ids, positions, bias, last] = inputs as [Tensor2D, Tensor2D, Tensor2D, Tensor1D];
    const segments = pairs(inputs.slice(INPUTS) as Tensor4D[]);
    const past = Array.from({ length: this.config.nLayer }, (_, i) => segments.slice(2 * i, 2 * i + 2));
    const { logits, presents } = forward(this.config, this.#eager.weights, { ids, positions, bias, last }, past);
    return [logits, ...presents.flatMap(({ k, v }) => [k, v])];
  }

  #check(captured: Captured, inputs: readonly Tensor[]): void {
    const expected = (this.#run(inputs)[0] as Tensor).dataSync<'float32'>();
    const found = (captured.run(inputs)[0] as Tensor).dataSync<'float32'>();
    const largest = expected.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
    const difference = expected.reduce((max, x, i) => Math.max(max, Math.abs(x - (found[i] as number))), 0);
    if (!(difference <= TOLERANCE * largest) || argmax(expected) !== argmax(found)) {
      captured.dispose();
      throw new Error(`the recording differs from it by ${difference} of ${largest}`);
    }
  }

  /** Inputs with a made-up past: their values do not matter, only that they differ from place to place. */
  #example(ids: readonly number[], body: number, tail: number): Tensor[] {
    const { nLayer, nHead, headDim, nPositions, vocabSize } = this.config;
    const T = ids.length;
    const waves = (S: number): Tensor4D => tf.reshape(tf.sin(tf.range(0, nHead * S * headDim)), [1, nHead, S, headDim]);
    const segment = (S: number): KeyValue => ({ k: waves(S), v: waves(S) });
    const inputs: ForwardInputs = {
      ids: tf.tensor2d(
        Int32Array.from(ids, (id) => id % vocabSize),
        [1, T],
        'int32',
      ),
      positions: tf.tensor2d(
        Int32Array.from(ids, (_, i) => (body + tail + i) % nPositions),
        [1, T],
        'int32',
      ),
      bias: causalBias(T, tail + T),
      last: tf.tensor1d(Int32Array.of(T - 1), 'int32'),
    };
    return flatten(
      inputs,
      Array.from({ length: nLayer }, () => [segment(body), segment(tail)]),
    );
  }
}

function flatten({ ids, positions, bias, last }: ForwardInputs, past: readonly Past[]): Tensor[] {
  return [ids, positions, bias, last, ...past.flatMap((segments) => segments.flatMap(({ k, v }) => [k, v]))];
}

function pairs(tensors: readonly Tensor4D[]): KeyValue[] {
  return Array.from({ length: tensors.length / 2 }, (_, i) => ({
    k: tensors[2 * i] as Tensor4D,
    v: tensors[2 * i + 1] as Tensor4D,
  }));
}

/** The recording has two segments a layer, also where there are no tokens yet. */
function emptyPast({ nLayer, nHead, headDim }: Gpt2Config): Past[] {
  const none: Tensor4D = tf.zeros([1, nHead, 0, headDim]);
  return Array.from({ length: nLayer }, () => [
    { k: none, v: none },
    { k: none, v: none },
  ]);
}
