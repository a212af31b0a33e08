// A loaded model, which is an engine with its tokenizer, and how it is opened: its sizes are read, a backend is chosen,
// the weights are loaded. Only the engine of that backend is imported, and only then. `loadModel` is the library's way to
// it. Knows nothing of prompts, saved files or streams.

import { type BackendName, checkChoice, type WeightsName } from '../backends.js';
import { chatTemplateOf } from '../chat/open-template.js';
import type { ChatTemplate } from '../chat/prompt-template.js';
import { checkIds } from '../completion/request.js';
import type { TextModel } from '../completion/text-bounds.js';
import type { Engine } from '../engine/engine.js';
import { KvgenError, UsageError } from '../errors.js';
import type { ModelFolder } from '../files/model-folder.js';
import { lastOf, prefillChunks } from '../generation/prefill.js';
import type { ModelConfig } from '../model/config.js';
import { checkLogits } from '../sampling/finite.js';
import { GENERATE, type GenerateArgs } from '../settings.js';
import { hasTokenizer, loadTokenizer, type Tokenizer } from '../text/tokenizer.js';
import { openModelFolder, weightsFolder } from '../weights/adapter-folder.js';
import { type FoundModel, findModel, weightBytes } from '../weights/find.js';
import { checkWeights, loadShape, type ReadOptions, readTensors } from '../weights/folder.js';
import { randomBytes, randomShape, randomTensors } from '../weights/random-model.js';
import type { NamedTensor } from '../weights/weight-file.js';
import { Chat, type ChatOptions } from './chat-session.js';
import { type Machine, type MachineChoice, type ModelFacts, machineFor, wantsGraph } from './machine.js';

export class Model implements TextModel {
  readonly name: string;
  /** Its folder. */
  readonly dir: string;
  /** What it is computed on. */
  readonly backend: BackendName;
  /** How many threads compute at the same time. */
  readonly threads: number;
  /** What its weights are computed with. */
  readonly weights: WeightsName;
  /** @internal */
  readonly tokenizer: Tokenizer | null;
  readonly #engine: Engine;
  readonly #folder: ModelFolder | null;
  #disposed = false;

  /** @internal */
  constructor(parts: ModelParts) {
    this.#engine = parts.engine;
    this.#folder = parts.folder ?? null;
    this.name = parts.name;
    this.dir = parts.dir;
    this.tokenizer = parts.tokenizer;
    this.backend = parts.backend;
    this.threads = parts.threads;
    this.weights = parts.weights;
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
   * @throws KvgenError for ids that the model does not have, or too many of them, and for logits that are not numbers
   */
  logits(ids: readonly number[], options: { cache: boolean }): Float32Array {
    checkIds(ids, this.config);
    const cache = options.cache ? this.engine.newCache() : null;
    const half = Math.ceil(ids.length / 2);
    const steps = [...prefillChunks(ids.slice(0, half)), ...ids.slice(half).map((id) => [id])];
    try {
      const passes = (cache === null ? [ids] : steps).map(lastOf);
      const [logits] = passes.flatMap((pass) => this.engine.forward(pass, cache)).slice(-1) as [Float32Array];
      checkLogits(logits);
      return logits.slice(); // borrowed from the engine
    } finally {
      cache?.dispose();
    }
  }

  /**
   * A conversation. A model with a chat template answers, one without continues the text; what was said is not run again.
   * @returns the caller's to dispose
   * @throws Error with one line that names the option or the file, what was expected and what was found
   * @example
   * const chat = await model.chat({ system: 'You are brief.' });
   * for await (const piece of chat.say('Hello!')) process.stdout.write(piece);
   */
  async chat(options: ChatOptions = {}): Promise<Chat> {
    return Chat.open(this, options, () => this.chatTemplate());
  }

  /** @internal The caller's to dispose; null: it has none. */
  async chatTemplate(): Promise<ChatTemplate | null> {
    return this.#folder === null || this.tokenizer === null ? null : chatTemplateOf(this.#folder, this.tokenizer);
  }

  /** Frees the weights. Safe to call twice. */
  dispose(): void {
    this.#disposed = true;
    this.tokenizer?.dispose();
    this.#engine.dispose();
  }
}

type ModelParts = Pick<Model, 'engine' | 'name' | 'dir' | 'tokenizer' | keyof Machine> & {
  /** null: it was made in memory. */
  readonly folder?: ModelFolder | null;
};

const LOAD_OPTIONS = ['backend', 'weights', 'threads'] as const;

export interface LoadModelOptions {
  /** `auto` (default): `node`, the native engine, where it is installed, else `simd`, which is WebAssembly. */
  backend?: GenerateArgs['backend'];
  /** What the weights are computed with. Default: `float32`; `int8` is for `simd`, which `auto` then stands for. */
  weights?: WeightsName;
  /** Threads of `node` or `simd`. Default: chosen by kvgen. */
  threads?: number;
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
export async function loadModel(model = 'stories', options: LoadModelOptions = {}): Promise<Model> {
  const { backend, weights, threads } = options;
  for (const [name, value] of Object.entries(options)) {
    const setting = LOAD_OPTIONS.find((known) => known === name);
    if (setting === undefined) {
      throw new UsageError(`loadModel has no option ${name}; it has ${LOAD_OPTIONS.join(', ')}`);
    }
    if (value !== undefined) {
      GENERATE[setting].kind.fromValue(value, name);
    }
  }
  checkChoice(options, (name, value) => `${name} ${value}`);
  return openModel(await folderSource(findModel(model)), { backend, weights, threads });
}

/** A model before its weights are loaded. */
export interface ModelSource extends ModelFacts {
  readonly name: string;
  /** null: it is made in memory. */
  readonly folder: ModelFolder | null;
  tensors(options: ReadOptions): AsyncIterable<NamedTensor> | Iterable<NamedTensor>;
}

/** A model in a folder. */
export interface FolderSource extends ModelSource {
  readonly folder: ModelFolder;
  /** Opens all files that the weights come from, and reads no tensor. @throws KvgenError where they would not load */
  checkWeights(): Promise<number>;
}

export interface OpenOptions extends MachineChoice {
  readonly signal?: AbortSignal | undefined;
  /** Called with each step of loading. */
  readonly onProgress?: (line: string) => void;
  /** Called with the reason why an engine stays eager, and with what of the weights is left out. */
  readonly onNote?: (line: string) => void;
  /** Default: the folder's, where it has one. */
  readonly tokenizer?: () => Promise<Tokenizer | null>;
}

/**
 * @param signal ends all reading from the folder
 * @throws KvgenError where the folder's config cannot be read
 */
export async function folderSource(found: FoundModel, signal?: AbortSignal): Promise<FolderSource> {
  const { name, dir } = found;
  const folder = await openModelFolder(found, signal);
  const shape = await loadShape(folder);
  return {
    name,
    dir,
    folder,
    shape,
    bytes: weightBytes({ dir: weightsFolder(folder), single: folder.single }),
    stored: shape.stored,
    checkWeights: () => checkWeights(folder, shape),
    tensors: (options) => readTensors(folder, shape, options),
  };
}

/** A model of random weights; undefined: the name means no such model. @throws UsageError for impossible sizes */
export function randomSource(name: string, seed: number): ModelSource | undefined {
  const shape = randomShape(name);
  if (shape === undefined) {
    return undefined;
  }
  const tensors = () => randomTensors(name, shape, seed);
  return { name, dir: name, folder: null, shape, bytes: randomBytes(shape), stored: shape.stored, tensors };
}

/**
 * Loads an engine, and the weights onto it.
 * @returns the caller's to dispose
 * @throws KvgenError with one line that says what is wrong, and where
 */
export async function openModel(source: ModelSource, options: OpenOptions = {}): Promise<Model> {
  const { name, dir, folder } = source;
  const { tokenizer: open = () => folderTokenizer(folder) } = options;
  const machine = await machineFor(source, options);
  const { backend } = machine;
  const opening = backend === 'simd' ? openSimd(source, machine, options) : openTf(source, backend, options);
  const [opened, tokenizer] = await Promise.allSettled([opening, open()]);
  if (opened.status === 'rejected') {
    throw opened.reason;
  }
  if (tokenizer.status === 'rejected') {
    opened.value.engine.dispose();
    throw tokenizer.reason;
  }
  return new Model({ name, dir, folder, ...machine, ...opened.value, tokenizer: tokenizer.value });
}

/** An engine, with the threads that it has in the end. */
type Opened = Pick<Model, 'engine' | 'threads'>;

async function openSimd(source: ModelSource, { threads, weights }: Machine, options: OpenOptions): Promise<Opened> {
  const { openSimd } = await import('../simd/open.js');
  const engine = await openSimd(source.shape.config, tensorsOf(source, options), { threads, weights });
  return { engine, threads };
}

async function openTf(source: ModelSource, backend: 'node' | 'cpu', options: OpenOptions): Promise<Opened> {
  const { engine: choice = 'auto', threads, onProgress, onNote = () => {} } = options;
  const graph = wantsGraph(options);
  onProgress?.('loading TensorFlow');
  const { loadBackend, openEngine } = await import('../tf/backend.js');
  const loaded = await loadBackend(backend, { threads, modelBytes: source.bytes, graph });
  const engine = await openEngine(source.shape.config, tensorsOf(source, options), loaded, {
    engine: graph ? choice : 'eager',
    onNote,
  });
  return { engine, threads: loaded.threads };
}

function tensorsOf(source: ModelSource, { signal, onProgress, onNote }: OpenOptions) {
  const onTensor = (done: number, total: number) => onProgress?.(`loading ${source.name} ${done}/${total}`);
  return source.tensors({ signal, onProgress: onTensor, onNote });
}

/** null: the folder has none. */
async function folderTokenizer(folder: ModelFolder | null): Promise<Tokenizer | null> {
  return folder !== null && (await hasTokenizer(folder)) ? loadTokenizer(folder) : null;
}
