// The forward pass recorded and replayed as one TensorFlow graph call, instead of hundreds of ops. One recording serves
// one sequence, decode steps and prefill chunks alike; a second the same with the logits of several ids; a third the
// steps of any number of sequences together. Each is kept only if it agrees with the eager pass. Knows nothing of when
// recording pays.

import type { Tensor, Tensor1D, Tensor2D, Tensor4D, TensorContainer } from '@tensorflow/tfjs-core';
import type { Pass } from '../engine/engine.js';
import { errorMessage } from '../errors.js';
import type { ModelConfig } from '../model/config.js';
import { argmax } from '../sampling/sampler.js';
import { type Captured, type CaptureOptions, capture } from './capture.js';
import { forwardInputs } from './tensor-cache.js';
import { tf } from './tf.js';
import type { ForwardInputs, ForwardResult, KeyValue, Past, TfModel } from './tf-model.js';

/** The largest difference to eager, as a share of the largest logit. */
const TOLERANCE = 1e-4;

/** One sequence of any number of ids, and the logits of one or of several; or one id of each of several sequences. */
export type Form = 'sequence' | 'every' | 'step';

/** What each recording is made of and checked with; their values do not matter, only that they differ. */
const EXAMPLES: Record<Form, readonly [Example, Example]> = {
  sequence: [
    { ids: [[0]], wanted: [0], body: 1, tail: 1, padding: [0] },
    { ids: [[1, 2]], wanted: [1], body: 3, tail: 2, padding: [0] },
  ],
  every: [
    { ids: [[0, 1]], wanted: [0, 1], body: 1, tail: 1, padding: [0] },
    { ids: [[1, 2, 3]], wanted: [0, 2], body: 3, tail: 2, padding: [0] },
  ],
  step: [
    { ids: [[0], [1]], wanted: [0, 1], body: 2, tail: 1, padding: [1, 0] },
    { ids: [[1], [2], [0]], wanted: [0, 1, 2], body: 3, tail: 2, padding: [1, 0, 0] },
  ],
};

/** A pass and its past: positions of both segments, and how many at the beginning are padding of each sequence. */
interface Example extends Pass {
  readonly padding: readonly number[];
  readonly body: number;
  readonly tail: number;
}

export interface GraphOptions extends Omit<CaptureOptions, 'manyTokens'> {
  /** Capture whether it pays or not. */
  readonly always: boolean;
  /** Told why the engine stays eager. */
  readonly onNote: (line: string) => void;
}

/** A recorded forward pass. @param past body and tail of each layer; null: there are no tokens yet */
export type Recording = (inputs: ForwardInputs, past: readonly Past[] | null) => ForwardResult;

export class Recordings {
  readonly #config: ModelConfig;
  readonly #model: TfModel;
  readonly #options: GraphOptions;
  readonly #captured = new Map<Form, Captured>();
  #failed = false;

  constructor(config: ModelConfig, model: TfModel, options: GraphOptions) {
    this.#config = config;
    this.#model = model;
    this.#options = options;
  }

  get empty(): boolean {
    return this.#captured.size === 0;
  }

  /**
   * The first of these forms that is recorded.
   * @param pays a recording of the first of them repays its capture
   */
  find(forms: readonly Form[], pays: boolean): Recording | undefined {
    const [best] = forms;
    const mayCapture = (pays || this.#options.always) && !this.#failed;
    if (best !== undefined && mayCapture && !forms.some((form) => this.#captured.has(form))) {
      this.#capture(best);
    }
    for (const form of forms) {
      const captured = this.#captured.get(form);
      if (captured !== undefined) {
        return (inputs, past) => this.#replay(captured, form, inputs, past);
      }
    }
    return undefined;
  }

  /** Frees the native graphs; nothing is recorded from here on. */
  dispose(): void {
    for (const captured of this.#captured.values()) {
      captured.dispose();
    }
    this.#captured.clear();
    this.#failed = true;
  }

  #replay(captured: Captured, form: Form, inputs: ForwardInputs, past: readonly Past[] | null): ForwardResult {
    const flat = flatten(form, inputs, past ?? emptyPast(this.#config));
    const [logits, ...presents] = captured.run(flat) as [Tensor2D, ...Tensor4D[]]; // [N, V], [B, nKvHead, S, headDim] …
    return { logits, presents: pairs(presents) };
  }

  /** Records one example, and keeps the recording only if it agrees with eager at the other. */
  #capture(form: Form): void {
    const [recorded, other] = EXAMPLES[form];
    const options = { ...this.#options, manyTokens: form !== 'sequence' };
    try {
      const captured = tf.tidy(() => {
        const inputs = this.#example(form, recorded);
        const captured = capture(
          (tensors) => this.#flatForward(form, tensors),
          inputs,
          this.#model.parameters,
          options,
        );
        this.#check(captured, form, this.#example(form, other));
        return captured as unknown as TensorContainer;
      }) as unknown as Captured;
      this.#captured.set(form, captured);
    } catch (error) {
      this.#failed = true;
      this.#options.onNote(`the engine stays eager: ${errorMessage(error)}`);
    }
  }

  /** The forward pass with all its tensors in one list, as capture wants it. */
  #flatForward(form: Form, inputs: readonly Tensor[]): Tensor[] {
    const [ids, positions, bias, wanted, ...rest] = inputs as [Tensor2D, Tensor2D, Tensor2D, Tensor1D, ...Tensor4D[]];
    const padding = form === 'step' ? (rest[0] as Tensor4D) : null;
    const segments = pairs(padding === null ? rest : rest.slice(1));
    const past = Array.from({ length: this.#config.nLayer }, (_, i) => segments.slice(2 * i, 2 * i + 2));
    const { logits, presents } = this.#model.forward({ ids, positions, bias, padding, wanted }, past);
    return [logits, ...presents.flatMap(({ k, v }) => [k, v])];
  }

  #check(captured: Captured, form: Form, inputs: readonly Tensor[]): void {
    const expected = (this.#flatForward(form, inputs)[0] as Tensor).dataSync<'float32'>();
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
    const { nLayer, nPositions, vocabSize } = this.#config;
    const [B, T] = [ids.length, (ids[0] as readonly number[]).length];
    const layers = Array.from({ length: nLayer }, () => [this.#waves(B, body), this.#waves(B, tail)]);
    // The smallest models have neither as many positions nor as many ids.
    const lengths = padding.map((missing) => Math.min(body + tail - missing, nPositions - T));
    const known = ids.map((sequence) => sequence.map((id) => id % vocabSize));
    return flatten(form, forwardInputs({ ids: known, wanted }, { lengths, padding, layers }), layers);
  }

  /** S made-up positions of one layer. */
  #waves(B: number, S: number): KeyValue {
    const { nKvHead, headDim } = this.#config;
    const waves = (): Tensor4D => {
      const values = tf.sin(tf.range(0, B * nKvHead * S * headDim)); // [B·nKvHead·S·headDim]
      return tf.reshape(values, [B, nKvHead, S, headDim]); // [B, nKvHead, S, headDim]
    };
    return { k: waves(), v: waves() };
  }
}

function flatten(form: Form, inputs: ForwardInputs, past: readonly Past[]): Tensor[] {
  const { ids, positions, bias, padding, wanted } = inputs;
  // The recording of decode steps always adds a padding, zeros where there is none.
  const noPadding = () => tf.zeros([1, 1, 1, past[0]?.[0]?.k.shape[2] ?? 0]); // [1, 1, 1, S]
  const extra = form === 'step' ? [padding ?? noPadding()] : [];
  return [ids, positions, bias, wanted, ...extra, ...past.flat().flatMap(({ k, v }) => [k, v])];
}

function pairs(tensors: readonly Tensor4D[]): KeyValue[] {
  return Array.from({ length: tensors.length / 2 }, (_, i) => ({
    k: tensors[2 * i] as Tensor4D,
    v: tensors[2 * i + 1] as Tensor4D,
  }));
}

/** The recording has two segments a layer, also where there are no tokens yet. */
function emptyPast({ nLayer, nKvHead, headDim }: ModelConfig): Past[] {
  const none: Tensor4D = tf.zeros([1, nKvHead, 0, headDim]); // [B, nKvHead, S, headDim]
  const segment = { k: none, v: none };
  return Array.from({ length: nLayer }, () => [segment, segment]);
}
