// The captured engine: the forward pass recorded and replayed as one TensorFlow graph call. One recording serves one
// sequence, decode steps and prefill chunks alike; a second the same with the logits of several ids; a third the steps
// of any number of sequences together. Until it has captured, and whenever that fails, it is the eager engine.

import type { Tensor, Tensor1D, Tensor2D, Tensor4D, TensorContainer } from '@tensorflow/tfjs-core';
import { type Engine, type EnginePhase, type ForwardPart, lastRow } from '../engine/engine.js';
import { errorMessage } from '../errors.js';
import type { Gpt2Config } from '../model/gpt2-config.js';
import { argmax } from '../sampling/sampler.js';
import { type Captured, type CaptureOptions, capture } from './capture.js';
import { EagerEngine } from './eager.js';
import { type ForwardInputs, forward, type Gpt2Weights, type KeyValue, type Past, parameters } from './gpt2.js';
import { forwardInputs, type Rows } from './inputs.js';
import { KvCache } from './tensor-cache.js';
import { tf } from './tf.js';
import { tidyNumbers } from './tidy.js';

/** Decode steps from which a capture pays: each saves a half to five sixths, the capture costs about twelve. */
const MIN_STEPS = 24;
/** Parameters × prompt tokens from which prefill on all threads repays the capture. */
const MIN_PREFILL_WORK = 3e10;
/** The largest difference to eager, as a share of the largest logit. */
const TOLERANCE = 1e-4;
/** What each recording is made of and checked with; their values do not matter, only that they differ. */
const EXAMPLES: Record<Form, readonly [Example, Example]> = {
  sequence: [
    { ids: [[0]], wanted: [0], body: 1, tail: 1, padding: [0] },
    { ids: [[1, 2]], wanted: [1], body: 3, tail: 2, padding: [0] },
  ],
  rows: [
    { ids: [[0, 1]], wanted: [0, 1], body: 1, tail: 1, padding: [0] },
    { ids: [[1, 2, 3]], wanted: [0, 2], body: 3, tail: 2, padding: [0] },
  ],
  step: [
    { ids: [[0], [1]], wanted: [0, 1], body: 2, tail: 1, padding: [1, 0] },
    { ids: [[1], [2], [0]], wanted: [0, 1, 2], body: 3, tail: 2, padding: [1, 0, 0] },
  ],
};
/** Inputs before the past: ids, positions, bias, last, and of steps the padding. */
const INPUTS: Record<Form, number> = { sequence: 4, rows: 4, step: 5 };

/** One sequence of any number of ids, and the logits of one or of several; or one id of each of several sequences. */
type Form = 'sequence' | 'rows' | 'step';
const FORMS: Record<EnginePhase, Form> = { prefill: 'sequence', decode: 'sequence', rows: 'rows', batch: 'step' };

/** A pass and its past: the rows of both segments, and how many at the beginning are no tokens of each sequence. */
interface Example extends Rows {
  readonly padding: readonly number[];
  readonly body: number;
  readonly tail: number;
}

export interface GraphOptions extends Omit<CaptureOptions, 'manyRows'> {
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
  readonly #captured: Record<Form, Captured | null> = { sequence: null, rows: null, step: null };
  /** Ids that prefill was announced for, in all: several short prompts repay a capture as a long one does. */
  readonly #prefilled: Record<Form, number> = { sequence: 0, rows: 0, step: 0 };
  #failed = false;

  /** @param weights the engine owns them from here on */
  constructor(config: Gpt2Config, weights: Gpt2Weights, options: GraphOptions) {
    this.config = config;
    this.#eager = new EagerEngine(config, weights);
    this.#parameters = parameters(weights);
    this.#options = options;
  }

  get name(): 'eager' | 'graph' {
    return Object.values(this.#captured).every((captured) => captured === null) ? 'eager' : 'graph';
  }

  newCache(): KvCache {
    return new KvCache();
  }

  prepare(phase: EnginePhase, tokens: number): void {
    const form = FORMS[phase];
    const size = this.#parameters.reduce((sum, tensor) => sum + tensor.size, 0);
    const isPrefill = phase === 'prefill' || phase === 'rows';
    this.#prefilled[form] += isPrefill ? tokens : 0;
    const pays = isPrefill ? this.#prefilled[form] * size >= MIN_PREFILL_WORK : tokens >= MIN_STEPS;
    if (this.#captured[form] === null && !this.#failed && (pays || this.#options.always)) {
      this.#capture(form);
    }
  }

  forward(ids: readonly number[], cache: KvCache | null, onPart?: (part: ForwardPart) => void): Float32Array {
    const { sequence } = this.#captured;
    return sequence === null || cache === null
      ? this.#eager.forward(ids, cache, onPart)
      : this.#replay(sequence, 'sequence', lastRow(ids), cache, onPart);
  }

  forwardRows(rows: Rows, cache: KvCache | null): Float32Array {
    const forms = cache === null ? [] : formsOf(rows, cache);
    const form = forms.find((form) => this.#captured[form] !== null);
    return form === undefined || cache === null
      ? this.#eager.forwardRows(rows, cache)
      : this.#replay(this.#captured[form] as Captured, form, rows, cache);
  }

  numTensors(): number {
    return this.#eager.numTensors();
  }

  dispose(): void {
    for (const form of ['sequence', 'rows', 'step'] as const) {
      this.#captured[form]?.dispose();
      this.#captured[form] = null;
    }
    this.#failed = true;
    this.#eager.dispose();
  }

  #replay(
    captured: Captured,
    form: Form,
    rows: Rows,
    cache: KvCache,
    onPart?: (part: ForwardPart) => void,
  ): Float32Array {
    return tidyNumbers(() => {
      const inputs = flatten(form, forwardInputs(rows, cache), cache.layers ?? emptyPast(this.config));
      onPart?.('feed');
      const [logits, ...presents] = captured.run(inputs) as [Tensor2D, ...Tensor4D[]]; // [N, V], [B, nHead, S, headDim] …
      onPart?.('graph');
      cache.append(pairs(presents));
      const values = logits.dataSync<'float32'>();
      onPart?.('read');
      return values;
    });
  }

  /** Records one example, and keeps the recording only if it agrees with eager at the other. */
  #capture(form: Form): void {
    const [recorded, other] = EXAMPLES[form];
    try {
      this.#captured[form] = tf.tidy(() => {
        const captured = capture((inputs) => this.#run(form, inputs), this.#example(form, recorded), this.#parameters, {
          ...this.#options,
          manyRows: form !== 'sequence',
        });
        this.#check(captured, form, this.#example(form, other));
        return captured as unknown as TensorContainer;
      }) as unknown as Captured;
    } catch (error) {
      this.#failed = true;
      this.#options.onNote(`the engine stays eager: ${errorMessage(error)}`);
    }
  }

  /** The forward pass with all its tensors in one list, as capture wants it. */
  #run(form: Form, inputs: readonly Tensor[]): Tensor[] {
    const [ids, positions, bias, last] = inputs as [Tensor2D, Tensor2D, Tensor2D, Tensor1D];
    const padding = form === 'step' ? (inputs[4] as Tensor4D) : null;
    const segments = pairs(inputs.slice(INPUTS[form]) as Tensor4D[]);
    const past = Array.from({ length: this.config.nLayer }, (_, i) => segments.slice(2 * i, 2 * i + 2));
    const all: ForwardInputs = { ids, positions, bias, padding, last };
    const { logits, presents } = forward(this.config, this.#eager.weights, all, past);
    return [logits, ...presents.flatMap(({ k, v }) => [k, v])];
  }

  #check(captured: Captured, form: Form, inputs: readonly Tensor[]): void {
    const expected = (this.#run(form, inputs)[0] as Tensor).dataSync<'float32'>();
    const found = (captured.run(inputs)[0] as Tensor).dataSync<'float32'>();
    const largest = expected.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
    const difference = expected.reduce((max, x, i) => Math.max(max, Math.abs(x - (found[i] as number))), 0);
    if (!(difference <= TOLERANCE * largest) || argmax(expected) !== argmax(found)) {
      captured.dispose();
      throw new Error(`the recording differs from it by ${difference} of ${largest}`);
    }
  }

  /** Inputs behind a made-up past. */
  #example(form: Form, { ids, wanted, padding, body, tail }: Example): Tensor[] {
    const { nLayer, nPositions, vocabSize } = this.config;
    const [B, T] = [ids.length, (ids[0] as readonly number[]).length];
    const layers = Array.from({ length: nLayer }, () => [this.#waves(B, body), this.#waves(B, tail)]);
    // The smallest models have neither as many positions nor as many ids.
    const lengths = padding.map((rows) => Math.min(body + tail - rows, nPositions - T));
    const known = ids.map((row) => row.map((id) => id % vocabSize));
    return flatten(form, forwardInputs({ ids: known, wanted }, { lengths, padding, layers }), layers);
  }

  /** S made-up rows of one layer. */
  #waves(B: number, S: number): KeyValue {
    const { nHead, headDim } = this.config;
    const waves = (): Tensor4D => {
      const values = tf.sin(tf.range(0, B * nHead * S * headDim)); // [B·nHead·S·headDim]
      return tf.reshape(values, [B, nHead, S, headDim]); // [B, nHead, S, headDim]
    };
    return { k: waves(), v: waves() };
  }
}

/** The recordings that can run this, best first. A sequence alone has no padding: it is the longest. */
function formsOf({ ids, wanted }: Rows, cache: KvCache): Form[] {
  const isSteps = cache.length > 0 && ids.every((row) => row.length === 1);
  const sequence: Form[] = ids.length === 1 ? [wanted.length === 1 ? 'sequence' : 'rows'] : [];
  return isSteps ? [...sequence, 'step'] : sequence;
}

function flatten(form: Form, inputs: ForwardInputs, past: readonly Past[]): Tensor[] {
  const { ids, positions, bias, padding, last } = inputs;
  const extra = form === 'step' ? [padding ?? noPadding(past)] : [];
  return [ids, positions, bias, last, ...extra, ...past.flatMap((segments) => segments.flatMap(({ k, v }) => [k, v]))];
}

/** The recording of steps always adds the padding. */
function noPadding(past: readonly Past[]): Tensor4D {
  return tf.zeros([1, 1, 1, past[0]?.[0]?.k.shape[2] ?? 0]); // [1, 1, 1, S]
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
