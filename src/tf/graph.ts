// The forward pass, recorded once and replayed as one TensorFlow graph call instead of hundreds of ops. There are three
// forms of recording: of one sequence with the logits of one id, of one sequence with those of several ids, and of
// decode steps of several sequences. One is kept only if it agrees with the eager pass. Knows nothing of when it pays.

import type { Tensor, Tensor1D, Tensor2D, Tensor4D, TensorContainer } from '@tensorflow/tfjs-core';
import type { Pass } from '../engine/engine.js';
import { errorMessage } from '../errors.js';
import type { ModelConfig } from '../model/config.js';
import { argmax } from '../sampling/scan.js';
import { type Captured, type CaptureOptions, capture } from './capture.js';
import { forwardInputs } from './tensor-cache.js';
import { tf } from './tf.js';
import type { ForwardInputs, ForwardResult, KeyValue, Past, TfModel, WindowBias } from './tf-model.js';

/** The largest difference to the eager pass that is accepted, as a share of the largest logit. */
const TOLERANCE = 1e-4;

/**
 * sequence: any number of ids of one sequence, and the logits of one id. every: the same, and the logits of several.
 * step: one id of each of several sequences, and all their logits.
 */
export type Form = 'sequence' | 'every' | 'step';

/** Each form is recorded with its first example and checked with its second. It only matters that the two differ. */
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

/** A pass behind a made-up past. */
interface Example extends Pass {
  /** The positions of each segment of the past. */
  readonly body: number;
  readonly tail: number;
  /** How many of the first positions are padding, for each sequence. */
  readonly padding: readonly number[];
}

export interface GraphOptions extends Omit<CaptureOptions, 'manyTokens'> {
  /** Capture even where it does not pay. */
  readonly always: boolean;
  /** Called with the reason when the engine stays eager. */
  readonly onNote: (line: string) => void;
}

/** A recorded forward pass. `past` is the body and the tail of each layer; null: there are no tokens yet. */
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
   * The recording of the first of these forms that has one. Where none has, the first form is captured.
   * @param forms best first
   * @param mayCapture false: only what is recorded already
   */
  find(forms: readonly Form[], mayCapture: boolean): Recording | undefined {
    const [best] = forms;
    if (best !== undefined && mayCapture && !this.#failed && !forms.some((form) => this.#captured.has(form))) {
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

  /** Frees the native graphs. Nothing is recorded from here on. */
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

  /** Records one example, and keeps the recording only if it agrees with the eager pass at the other. */
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

  /** The forward pass with all tensors in one list, as `capture` wants it; `flatten` makes that list. */
  #flatForward(form: Form, inputs: readonly Tensor[]): Tensor[] {
    const [ids, positions, bias, wanted, ...rest] = inputs as [Tensor2D, Tensor2D, Tensor2D, Tensor1D, ...Tensor[]];
    const padding = form === 'step' ? (rest.shift() as Tensor4D) : null;
    const windows = this.#model.window === 0 ? null : takenWindows(rest);
    const segments = pairs(rest as Tensor4D[]);
    const past = Array.from({ length: this.#config.nLayer }, (_, i) => segments.slice(2 * i, 2 * i + 2));
    const { logits, presents } = this.#model.forward({ ids, positions, bias, padding, windows, wanted }, past);
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

  /** The inputs of an example, flat, with its past. */
  #example(form: Form, { ids, wanted, padding, body, tail }: Example): Tensor[] {
    const { nLayer, nPositions, vocabSize } = this.#config;
    const [B, T] = [ids.length, (ids[0] as readonly number[]).length];
    const layers = Array.from({ length: nLayer }, () => [this.#waves(B, body), this.#waves(B, tail)]);
    // The smallest models have fewer positions or fewer ids than the example.
    const lengths = padding.map((missing) => Math.min(body + tail - missing, nPositions - T));
    const known = ids.map((sequence) => sequence.map((id) => id % vocabSize));
    return flatten(
      form,
      forwardInputs({ ids: known, wanted }, { lengths, padding, layers }, this.#model.window),
      layers,
    );
  }

  /** Made-up keys and values of S positions of one layer. */
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
  const { ids, positions, bias, padding, windows, wanted } = inputs;
  // The recording of decode steps always adds a padding, zeros where there is none.
  const noPadding = () => tf.zeros([1, 1, 1, past[0]?.[0]?.k.shape[2] ?? 0]); // [1, 1, 1, S]
  const extra = form === 'step' ? [padding ?? noPadding()] : [];
  const near = windows === null ? [] : [windows.bias, windows.before];
  return [ids, positions, bias, wanted, ...extra, ...near, ...past.flat().flatMap(({ k, v }) => [k, v])];
}

/** Takes the first two of them. */
function takenWindows(tensors: Tensor[]): WindowBias {
  const [bias, before] = tensors.splice(0, 2) as [Tensor2D, Tensor2D];
  return { bias, before };
}

function pairs(tensors: readonly Tensor4D[]): KeyValue[] {
  return Array.from({ length: tensors.length / 2 }, (_, i) => ({
    k: tensors[2 * i] as Tensor4D,
    v: tensors[2 * i + 1] as Tensor4D,
  }));
}

/** A recording always reads two segments a layer, so they are empty where there are no tokens yet. */
function emptyPast({ nLayer, nKvHead, headDim }: ModelConfig): Past[] {
  const none: Tensor4D = tf.zeros([1, nKvHead, 0, headDim]); // [B, nKvHead, S, headDim]
  const segment = { k: none, v: none };
  return Array.from({ length: nLayer }, () => [segment, segment]);
}
