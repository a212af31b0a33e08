// The sizes that every model has, the interface of an architecture, and typed access to a config.json, with errors that
// name file, key, expected and found. Knows nothing of any one architecture, of opening files or of tensor libraries.

import { KvgenError, shown } from '../errors.js';

/** The sizes that all code may use. The config of an architecture adds what its forward pass needs. */
export interface ModelConfig {
  /** The name of the architecture in config.json. */
  readonly modelType: string;
  readonly vocabSize: number;
  /** The positions that the model was trained for, which is the longest context. */
  readonly nPositions: number;
  readonly nLayer: number;
  readonly nHead: number;
  /** Heads of keys and values: fewer than `nHead` where several query heads share one. */
  readonly nKvHead: number;
  readonly headDim: number;
  readonly nEmbd: number;
  /** Ids that end a text. */
  readonly eosTokenIds: readonly number[];
  /** The id that begins a text; undefined: no file of the model names one. */
  readonly bosTokenId?: number | undefined;
  /** The id that ends a text in models of this kind, where nothing says which does. */
  readonly usualTextEnd?: number | undefined;
}

/** Bytes of the keys and values of one position in all layers, each number a float32. */
export function bytesPerPosition({
  nLayer,
  nKvHead,
  headDim,
}: Pick<ModelConfig, 'nLayer' | 'nKvHead' | 'headDim'>): number {
  return 2 * nLayer * nKvHead * headDim * 4;
}

export interface ExpectedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** Its other name in the file, if it has one: a tied matrix may be stored under either of its two names. */
  readonly storedAs?: string;
  /** Is it multiplied with? Such a tensor can be stored as int8. */
  readonly isMatrix?: boolean;
  /** Of a matrix: is it stored as [in, out]? Others are [out, in]. */
  readonly isInputFirst?: boolean;
  /** Of a bias: it is 0 where no tensor of these kinds is stored (see `kindOf` in tensor-names.ts). */
  readonly zeroWithout?: readonly string[];
}

/**
 * What a stored tensor is for: the `body` of the model, the matrix of its logits (`head`), something that is computed again
 * (`buffer`), or another use than language (`otherUse`), such as a value head.
 */
export type TensorRole = 'body' | 'head' | 'buffer' | 'otherUse';

/** How to read the folder of a model. Each engine adds a forward pass; tf/backend.ts lists those of TF.js. */
export interface Architecture {
  readonly modelType: string;
  /** The name for messages. */
  readonly title: string;
  /** Is a config without `model_type` of this architecture? Old ones have none. */
  readonly looksLike?: (read: ConfigReader) => boolean;
  /** Of the matrix of ids, and of the one for the logits, which may be the same. */
  readonly vocabulary: { readonly embedding: string; readonly head: string };
  /** @throws KvgenError for a key that would change the result and is not computed */
  readonly parse: (read: ConfigReader) => ModelConfig;
  /** What a tensor of this name is for; undefined: there is none of this name, be it because of a prefix. */
  readonly tensorRole: (name: string) => TensorRole | undefined;
  /** The tensors that a forward pass needs, one at a time: a broken config.json may ask for any number of layers. */
  readonly tensors: (config: ModelConfig, stored: { has(name: string): boolean }) => Iterable<ExpectedTensor>;
}

/** Typed access to one JSON object. */
export class ConfigReader {
  readonly #object: Readonly<Record<string, unknown>>;
  readonly #where: string;

  /**
   * @param json the parsed file
   * @param where its path, for messages
   * @throws KvgenError when `json` is not an object
   */
  constructor(json: unknown, where: string) {
    if (typeof json !== 'object' || json === null || Array.isArray(json)) {
      throw new KvgenError(`${where}: expected a JSON object, found ${Array.isArray(json) ? 'an array' : shown(json)}`);
    }
    this.#object = { ...json };
    this.#where = where;
  }

  value(key: string): unknown {
    return this.#object[key];
  }

  wrong(key: string, expected: string, found: unknown): KvgenError {
    return new KvgenError(`${this.#where}: ${key}: expected ${expected}, found ${shown(found)}`);
  }

  /** @param alias another name of the same key, which as in transformers wins over it */
  count(key: string, fallback: number, alias?: string): number {
    const value = (alias === undefined ? undefined : this.value(alias)) ?? this.value(key) ?? fallback;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1) {
      throw this.wrong(key, 'a whole number of 1 or more', value);
    }
    return value;
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.value(key) ?? fallback;
    if (typeof value !== 'boolean') {
      throw this.wrong(key, 'true or false', value);
    }
    return value;
  }

  /** A small number that a forward pass adds to a variance. */
  epsilon(key: string, fallback: number): number {
    const value = this.value(key) ?? fallback;
    if (typeof value !== 'number' || !(value >= 0) || !Number.isFinite(value)) {
      throw this.wrong(key, 'a number of 0 or more', value);
    }
    return value;
  }

  /** @param fallback undefined: the key must be there */
  positive(key: string, fallback?: number): number {
    const value = this.value(key) ?? fallback;
    if (typeof value !== 'number' || !(value > 0) || !Number.isFinite(value)) {
      throw this.wrong(key, 'a number above 0', value);
    }
    return value;
  }

  /** The object under a key; undefined: there is none. */
  object(key: string): ConfigReader | undefined {
    const value = this.value(key) ?? undefined;
    return value === undefined ? undefined : new ConfigReader(value, `${this.#where}: ${key}`);
  }

  ids(key: string, fallback: readonly number[]): readonly number[] {
    const value = this.value(key) ?? fallback;
    const ids: unknown[] = Array.isArray(value) ? value : [value];
    if (!ids.every((id): id is number => typeof id === 'number' && Number.isSafeInteger(id) && id >= 0)) {
      throw this.wrong(key, 'a token id or a list of them', value);
    }
    return ids;
  }
}
