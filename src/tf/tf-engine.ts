// The TF.js engine: runs the forward pass op by op, or as one recorded graph where recording pays. Without a cache, and
// on the cpu backend, it is always op by op: that is the reference. Knows nothing of text or sampling.

import type { Engine, ForwardPart, Pass } from '../engine/engine.js';
import type { KvCache, Sequences } from '../engine/kv-cache.js';
import type { KvRows } from '../engine/kv-rows.js';
import type { ModelConfig } from '../model/config.js';
import { weightsReader } from './attention-weights.js';
import { type Form, type GraphOptions, type Recording, Recordings } from './graph.js';
import { forwardInputs, TensorCache, tidyNumbers } from './tensor-cache.js';
import { tf } from './tf.js';
import type { Past, TfModel } from './tf-model.js';

/** Decode steps from which a capture pays: it takes as long as twelve, and then each is two to six times as fast. */
const MIN_STEPS = 24;
/** A capture pays from this product of parameters and ids of prefill on, since a graph runs on all threads. */
const MIN_PREFILL_WORK = 3e10;

export class TfEngine implements Engine {
  readonly config: ModelConfig;
  readonly parameters: number;
  readonly ragged = false;
  /** As on the node backend, with a recording: its products with several tokens are others, which cost more from the first on. */
  readonly passCost = (ids: number): number => {
    return ids === 1 || tf.getBackend() === 'cpu' ? ids : 1.9 + 0.06 * ids;
  };
  readonly #model: TfModel;
  readonly #options: GraphOptions | null;
  /** null: until a capture pays there are none. */
  #recordings: Recordings | null = null;
  /** Ids of prefill so far, since several short prompts repay a capture as one long prompt does. */
  readonly #prefilled: Record<Form, number> = { sequence: 0, every: 0, step: 0 };
  #steps = 0;

  /**
   * @param model owned by the engine from here on
   * @param options null: always op by op
   */
  constructor(config: ModelConfig, model: TfModel, options: GraphOptions | null) {
    this.config = config;
    this.parameters = model.parameters.reduce((sum, tensor) => sum + tensor.size, 0);
    this.#model = model;
    this.#options = options;
  }

  get name(): string {
    return this.#recordings === null || this.#recordings.empty ? 'eager' : 'graph';
  }

  newCache(positions?: KvRows): KvCache {
    return TensorCache.of(positions);
  }

  gather(sources: readonly Sequences[]): KvCache {
    return TensorCache.gather(sources);
  }

  forward(pass: Pass, cache: KvCache | null, onPart?: (part: ForwardPart) => void): readonly Float32Array[] {
    const own = cache === null ? null : TensorCache.from(cache);
    const { onAttention } = pass; // no recording gives weights
    const recording = own === null || onAttention !== undefined ? undefined : this.#recordingFor(pass, own);
    const values = tidyNumbers(() => {
      const onWeights = onAttention && weightsReader(own?.padding ?? [], onAttention);
      const inputs = { ...forwardInputs(pass, own, this.#model.window), onWeights };
      onPart?.('feed');
      const { logits, presents } = recording?.(inputs, own?.layers ?? null) ?? this.#model.forward(inputs, past(own));
      onPart?.('graph');
      own?.append(presents);
      const numbers = logits.dataSync<'float32'>();
      onPart?.('read');
      return numbers;
    });
    const { vocabSize } = this.config;
    return pass.wanted.map((_, i) => values.subarray(i * vocabSize, (i + 1) * vocabSize));
  }

  numTensors(): number {
    return tf.memory().numTensors;
  }

  dispose(): void {
    this.#recordings?.dispose();
    tf.dispose([...this.#model.parameters]);
  }

  /** The recording that this pass is replayed from; undefined: it runs op by op. */
  #recordingFor(pass: Pass, cache: TensorCache): Recording | undefined {
    const forms = formsOf(pass, cache);
    const pays = this.#pays(forms[0], pass, cache);
    const mayCapture = this.#options !== null && (pays || this.#options.always);
    if (mayCapture) {
      this.#recordings ??= new Recordings(this.config, this.#model, this.#options);
    }
    return this.#recordings?.find(forms, mayCapture);
  }

  /** Does a capture pay, by the passes so far and the decode steps that the cache expects? Counts this pass as well. */
  #pays(form: Form | undefined, { ids: [ids = []], drafts }: Pass, cache: TensorCache): boolean {
    if (form === undefined) {
      return false;
    }
    const stepsLeft = cache.expected - cache.length;
    if ((ids.length === 1 || drafts) && stepsLeft > 0) {
      const stepsBefore = this.#steps;
      this.#steps++;
      return Math.max(stepsBefore, stepsLeft) >= MIN_STEPS;
    }
    this.#prefilled[form] += ids.length;
    return this.#prefilled[form] * this.parameters >= MIN_PREFILL_WORK;
  }
}

/** The forms of recording that can run this pass, best first. */
function formsOf({ ids, wanted, drafts }: Pass, cache: TensorCache): Form[] {
  const isStep = cache.length > 0 && ids.every((sequence) => sequence.length === 1);
  const one: Form[] = drafts ? ['every', 'sequence'] : ['sequence']; // one recording for all passes with drafts
  const alone: Form[] = ids.length > 1 ? [] : wanted.length === 1 ? one : ['every'];
  return isStep ? [...alone, 'step'] : alone;
}

/** The past without empty segments, which would only cost operations. The last one, which grows, stays. */
function past(cache: TensorCache | null): readonly Past[] | null {
  return (
    cache?.layers?.map((segments) => segments.filter(({ k }, i) => k.size > 0 || i === segments.length - 1)) ?? null
  );
}
