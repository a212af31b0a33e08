// A loaded model, which is an engine with its tokenizer, and how it is opened: its sizes are read, a backend is chosen,
// the weights are loaded. TensorFlow is imported only then. `loadModel` is the library's way to it. Knows nothing of
// prompts, saved files or streams.

import { checkIds, type TextModel } from '../completion/request.js';
import type { Engine } from '../engine/engine.js';
import { KvgenError } from '../errors.js';
import { lastOf, prefillChunks } from '../generation/prefill.js';
import type { ModelShape } from '../model/architectures.js';
import type { ModelConfig } from '../model/config.js';
import { GENERATE, type GenerateArgs } from '../settings.js';
import { hasTokenizer, loadTokenizer, type Tokenizer } from '../text/tokenizer.js';
import { type FoundModel, findModel, weightBytes } from '../weights/find.js';
import { loadShape, type ReadOptions, readTensors } from '../weights/folder.js';
import { randomBytes, randomShape, randomTensors } from '../weights/random-model.js';
import type { NamedTensor } from '../weights/weight-file.js';

export class Model implements TextModel {
  readonly name: string;
  /** Its folder. */
  readonly dir: string;
  /** What TF.js computes on. */
  readonly backend: string;
  /** How many threads compute at the same time. */
  readonly threads: number;
  /** @internal */
  readonly tokenizer: Tokenizer | null;
  readonly #engine: Engine;
  #disposed = false;

  /** @internal */
  constructor(parts: Pick<Model, 'engine' | 'name' | 'dir' | 'tokenizer' | 'backend' | 'threads'>) {
    this.#engine = parts.engine;
    this.name = parts.name;
    this.dir = parts.dir;
    this.tokenizer = parts.tokenizer;
    this.backend = parts.backend;
    this.threads = parts.threads;
  }

  /** @throws KvgenError once the model is disposed */
  get engine(): Engine {
    if (this.#disposed) {
      throw new KvgenError('the model has been disposed: load it again');
    }
    return this.#engine;
  }

  get config(): ModelConfig {
    return this.engine.config;
  }

  /** How many numbers the weights have; tied weights count once. */
  get parameters(): number {
    return this.engine.parameters;
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
    checkIds(ids, this.config);
    const cache = options.cache ? this.engine.newCache() : null;
    const half = Math.ceil(ids.length / 2);
    const steps = [...prefillChunks(ids.slice(0, half)), ...ids.slice(half).map((id) => [id])];
    try {
      const passes = (cache === null ? [ids] : steps).map(lastOf);
      const [logits] = passes.flatMap((pass) => this.engine.forward(pass, cache)).slice(-1) as [Float32Array];
      return logits.slice(); // borrowed from the engine
    } finally {
      cache?.dispose();
    }
  }

  /** Frees the weights. Safe to call twice. */
  dispose(): void {
    this.#disposed = true;
    this.#engine.dispose();
  }
}

export interface LoadModelOptions {
  /** `auto` (default): the native engine where it is installed, else WebAssembly. */
  backend?: GenerateArgs['backend'];
}

/**
 * Loads a GPT-2-style model.
 * @param model a folder (a path with a separator in it) or a name, as the command's `-m` takes them
 * @returns the model; call `dispose()` when done with it
 * @throws Error with one line that says what is wrong with the folder, and where
 * @example
 * const model = await loadModel('stories');
 * const logits = model.logits([431, 12], { cache: true }); // Float32Array [vocabSize]
 * model.dispose();
 */
export async function loadModel(model = 'stories', { backend = 'auto' }: LoadModelOptions = {}): Promise<Model> {
  GENERATE.backend.kind.fromValue(backend, 'backend');
  return openModel(await folderSource(findModel(model)), { backend });
}

/** A model before its weights are loaded. */
export interface ModelSource {
  readonly name: string;
  readonly dir: string;
  readonly shape: ModelShape;
  /** Size of the stored weights. */
  readonly bytes: number;
  tensors(options: ReadOptions): AsyncIterable<NamedTensor> | Iterable<NamedTensor>;
}

export interface OpenOptions extends Partial<Pick<GenerateArgs, 'backend' | 'engine' | 'threads'>> {
  readonly signal?: AbortSignal | undefined;
  /** Called with each step of loading. */
  readonly onProgress?: (line: string) => void;
  /** Called when the backend is not the one that `auto` would prefer. */
  readonly onBackendNote?: (line: string) => void;
  /** Called with the reason why an engine stays eager. */
  readonly onNote?: (line: string) => void;
  /** Default: the folder's, where it has one. */
  readonly tokenizer?: () => Promise<Tokenizer | null>;
}

/** @throws KvgenError where the folder's config cannot be read */
export async function folderSource({ name, dir }: FoundModel): Promise<ModelSource> {
  const shape = await loadShape(dir);
  return { name, dir, shape, bytes: weightBytes(dir), tensors: (options) => readTensors(dir, shape, options) };
}

/** A model of random weights; undefined: the name means no such model. @throws UsageError for impossible sizes */
export function randomSource(name: string, seed: number): ModelSource | undefined {
  const shape = randomShape(name);
  return shape === undefined
    ? undefined
    : { name, dir: name, shape, bytes: randomBytes(shape), tensors: () => randomTensors(name, shape, seed) };
}

/**
 * Loads a backend, and the weights onto it.
 * @returns the caller's to dispose
 * @throws KvgenError with one line that says what is wrong, and where
 */
export async function openModel(source: ModelSource, options: OpenOptions = {}): Promise<Model> {
  const { name, dir, shape, bytes } = source;
  const { backend: choice = 'auto', engine = 'auto', threads, signal, onProgress, onNote = () => {} } = options;
  onProgress?.('loading TensorFlow');
  const { loadBackend, openEngine } = await import('../tf/backend.js');
  const backend = await loadBackend({ choice, threads, modelBytes: bytes, graph: engine !== 'eager' });
  if (backend.note !== undefined) {
    options.onBackendNote?.(backend.note);
  }
  const onTensor = (done: number, total: number) => onProgress?.(`loading ${name} ${done}/${total}`);
  const opening = openEngine(shape.config, source.tensors({ signal, onProgress: onTensor }), backend, {
    engine,
    onNote,
  });
  const { tokenizer: open = () => folderTokenizer(dir) } = options;
  const [opened, tokenizer] = await Promise.allSettled([opening, open()]);
  if (opened.status === 'rejected') {
    throw opened.reason;
  }
  if (tokenizer.status === 'rejected') {
    opened.value.dispose();
    throw tokenizer.reason;
  }
  return new Model({
    name,
    dir,
    engine: opened.value,
    tokenizer: tokenizer.value,
    backend: backend.name,
    threads: backend.threads,
  });
}

/** null: the folder has none. */
async function folderTokenizer(dir: string): Promise<Tokenizer | null> {
  return hasTokenizer(dir) ? loadTokenizer(dir) : null;
}
