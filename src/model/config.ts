// What everybody but its own forward pass sees of a model: a handful of sizes. And how a config.json is read: each
// message names file, key, expected and found. Knows nothing of any one architecture, of files or of tensors.

import { KvgenError } from '../errors.js';

/** The sizes that decide ids, positions and the cache. An architecture's own config adds what its forward pass needs. */
export interface ModelConfig {
  /** The architecture, as config.json names it. */
  readonly modelType: string;
  readonly vocabSize: number;
  /** Positions that the model was trained for; the longest context. */
  readonly nPositions: number;
  readonly nLayer: number;
  /** Heads of queries. */
  readonly nHead: number;
  /** Heads of keys and values; as many as of queries, unless several queries share one. */
  readonly nKvHead: number;
  readonly headDim: number;
  readonly nEmbd: number;
  /** Ids that end a text. */
  readonly eosTokenIds: readonly number[];
}

/** Bytes of the keys and values of one position in all layers, as float32. */
export function bytesPerPosition({ nLayer, nKvHead, headDim }: ModelConfig): number {
  return 2 * nLayer * nKvHead * headDim * 4;
}

/** A tensor that a forward pass needs. */
export interface ExpectedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** Where the file has it under another name: a tied matrix may be stored once, as either of the two. */
  readonly storedAs?: string;
}

/** What a model is, for whoever reads its folder. Each engine adds the forward pass (tf/backend.ts names those of TF.js). */
export interface Architecture {
  readonly modelType: string;
  /** As people write it. */
  readonly title: string;
  /** @throws KvgenError for what would change the result and is not computed */
  readonly parse: (read: ConfigReader) => ModelConfig;
  /** The name of a stored tensor without prefixes that mean nothing; undefined: no forward pass needs it. */
  readonly tensorName: (stored: string) => string | undefined;
  /** One after the other, since a broken config.json may ask for any number of layers. */
  readonly tensors: (config: ModelConfig, stored: { has(name: string): boolean }) => Iterable<ExpectedTensor>;
}

/** Typed access to one JSON object. */
export class ConfigReader {
  readonly #object: Readonly<Record<string, unknown>>;
  readonly #where: string;

  /**
   * @param json the parsed file
   * @param where its path, for messages
   * @throws KvgenError when it is no object
   */
  constructor(json: unknown, where: string) {
    if (typeof json !== 'object' || json === null || Array.isArray(json)) {
      throw new KvgenError(
        `${where}: expected a JSON object, found ${Array.isArray(json) ? 'an array' : String(json)}`,
      );
    }
    this.#object = { ...json };
    this.#where = where;
  }

  value(key: string): unknown {
    return this.#object[key];
  }

  wrong(key: string, expected: string, found: unknown): KvgenError {
    return new KvgenError(`${this.#where}: ${key}: expected ${expected}, found ${JSON.stringify(found) ?? 'nothing'}`);
  }

  /** @param alias another name of the same key; as in transformers it is the stronger one */
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

  /** A number that is added to a variance. */
  epsilon(key: string, fallback: number): number {
    const value = this.value(key) ?? fallback;
    if (typeof value !== 'number' || !(value >= 0) || !Number.isFinite(value)) {
      throw this.wrong(key, 'a number of 0 or more', value);
    }
    return value;
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
