// A loaded model: a folder's weights on a backend, behind one engine. What the library hands out and the
// commands use. Knows nothing of text.

import type { Engine } from '../engine/engine.js';
import { KvgenError } from '../errors.js';
import { prefillChunks } from '../generation/prefill-chunks.js';
import type { Gpt2Config } from '../model/gpt2-config.js';
import type { Backend } from '../tf/backend.js';
import { EagerEngine } from '../tf/eager.js';
import { type Gpt2Weights, parameters } from '../tf/gpt2.js';
import { GraphEngine } from '../tf/graph.js';
import { type LoadOptions, loadConfig, loadWeights } from '../weights/folder.js';

export class Model {
  readonly #engine: Engine;
  #disposed = false;
  /** Numbers in the weights, each counted once. */
  readonly parameters: number;

  /** @internal */
  constructor(engine: Engine, parameters: number) {
    this.#engine = engine;
    this.parameters = parameters;
  }

  /** @throws KvgenError once the model is disposed */
  get engine(): Engine {
    if (this.#disposed) {
      throw new KvgenError('the model has been disposed: load it again');
    }
    return this.#engine;
  }

  /**
   * The logits of the token that follows `ids`.
   * @param ids 1 … `nPositions` token ids
   * @param options.cache true: through a KV cache, the first half of `ids` chunk by chunk, the rest token by
   *   token; false: one pass over all of them. Both give the same logits but for rounding (1e-6)
   * @returns [vocabSize]
   * @throws KvgenError for ids that the model does not have, or too many of them
   */
  logits(ids: readonly number[], options: { cache: boolean }): Float32Array {
    checkIds(ids, this.engine);
    if (!options.cache) {
      return this.engine.forward(ids, null);
    }
    const cache = this.engine.newCache();
    try {
      const half = Math.ceil(ids.length / 2);
      const steps = [...prefillChunks(ids.slice(0, half)), ...ids.slice(half).map((id) => [id])];
      return steps.map((step) => this.engine.forward(step, cache)).at(-1) as Float32Array;
    } finally {
      cache.dispose();
    }
  }

  /** Frees the weights. Safe to call twice. */
  dispose(): void {
    this.#disposed = true;
    this.#engine.dispose();
  }
}

export interface OpenOptions extends LoadOptions {
  /** auto: captured where the backend can and it pays; graph: always. */
  readonly engine?: 'auto' | 'eager' | 'graph';
  /** Told why an engine stays eager. */
  readonly onNote?: (line: string) => void;
}

/** Reads the folder's weights onto the current backend. */
export async function openModel(dir: string, backend: Backend, options: OpenOptions = {}): Promise<Model> {
  checkEngine(backend, options);
  const config = await loadConfig(dir);
  return makeModel(config, await loadWeights(dir, config, options), backend, options);
}

/** A model of weights that are on the backend already, and are its own from here on. */
export function makeModel(config: Gpt2Config, weights: Gpt2Weights, backend: Backend, options: OpenOptions): Model {
  checkEngine(backend, options);
  const { engine = 'auto', onNote = () => {} } = options;
  const size = parameters(weights).reduce((sum, tensor) => sum + tensor.size, 0);
  const { tfjsNodeDir, threads } = backend;
  return engine === 'eager' || tfjsNodeDir === undefined
    ? new Model(new EagerEngine(config, weights), size)
    : new Model(
        new GraphEngine(config, weights, { tfjsNodeDir, shards: threads, always: engine === 'graph', onNote }),
        size,
      );
}

function checkEngine({ name, tfjsNodeDir }: Backend, { engine }: OpenOptions): void {
  if (engine === 'graph' && tfjsNodeDir === undefined) {
    throw new KvgenError(`--engine graph needs the node backend, found ${name}; run \`kvgen setup\``);
  }
}

/** @throws KvgenError when the model has no such id, or no position for it */
export function checkIds(ids: readonly number[], { config }: Pick<Engine, 'config'>): void {
  if (ids.length === 0 || ids.length > config.nPositions) {
    throw new KvgenError(`expected 1 … ${config.nPositions} token ids, found ${ids.length}`);
  }
  checkVocabulary(ids, config);
}

/** @throws KvgenError when the model has no such id: a tokenizer may know more */
export function checkVocabulary(ids: readonly number[], { vocabSize }: Gpt2Config): void {
  const bad = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
  if (bad !== undefined) {
    throw new KvgenError(`token id ${bad}: expected a whole number from 0 to ${vocabSize - 1} (vocab_size − 1)`);
  }
}

/**
 * @param name of the option, for the error
 * @throws KvgenError for a bias that could have no effect
 */
export function checkBias(name: string, logitBias: ReadonlyMap<number, number>, { vocabSize }: Gpt2Config): void {
  const bad = [...logitBias.keys()].find((id) => id >= vocabSize);
  if (bad !== undefined) {
    throw new KvgenError(`${name} ${bad}: the model's token ids end at ${vocabSize - 1}`);
  }
}
