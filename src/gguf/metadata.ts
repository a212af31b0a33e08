// Typed access to the metadata of a GGUF file, with errors that name file, key, expected and found. Knows nothing of what the
// keys mean.

import { KvgenError, shown } from '../errors.js';

type Numbers =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array;
export type GgufValue = number | bigint | boolean | string | readonly string[] | Numbers;

export class GgufMetadata {
  readonly path: string;
  readonly #values: ReadonlyMap<string, GgufValue>;
  readonly #garbled: ReadonlySet<string>;

  /** @param garbled keys of texts that were not UTF-8 */
  constructor(path: string, values: ReadonlyMap<string, GgufValue>, garbled: ReadonlySet<string> = new Set()) {
    this.path = path;
    this.#values = values;
    this.#garbled = garbled;
  }

  get keys(): Iterable<string> {
    return this.#values.keys();
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  value(key: string): GgufValue | undefined {
    return this.#values.get(key);
  }

  /** The error that this value is not what was expected. */
  wrong(key: string, expected: string): KvgenError {
    return new KvgenError(`${this.path}: ${key}: expected ${expected}, found ${shownValue(this.value(key))}`);
  }

  /** undefined: the key is not there, as of all that follow. @throws KvgenError for another type */
  text(key: string): string | undefined {
    const value = this.value(key);
    if (value !== undefined && (typeof value !== 'string' || this.#garbled.has(key))) {
      throw this.wrong(key, 'a text in UTF-8');
    }
    return value as string | undefined;
  }

  flag(key: string): boolean | undefined {
    const value = this.value(key);
    if (value !== undefined && typeof value !== 'boolean') {
      throw this.wrong(key, 'true or false');
    }
    return value;
  }

  /** A whole number from 0. */
  count(key: string): number | undefined {
    const value = this.value(key);
    if (value === undefined) {
      return undefined;
    }
    const count = typeof value === 'number' || typeof value === 'bigint' ? Number(value) : Number.NaN;
    if (!Number.isSafeInteger(count) || count < 0) {
      throw this.wrong(key, 'a whole number from 0');
    }
    return count;
  }

  number(key: string): number | undefined {
    const value = this.value(key);
    if (value !== undefined && (typeof value !== 'number' || !Number.isFinite(value))) {
      throw this.wrong(key, 'a number');
    }
    return value as number | undefined;
  }

  texts(key: string): readonly string[] | undefined {
    const value = this.value(key);
    if (value !== undefined && (!Array.isArray(value) || this.#garbled.has(key))) {
      throw this.wrong(key, 'a list of texts in UTF-8');
    }
    return value as readonly string[] | undefined;
  }

  numbers(key: string): ArrayLike<number> | undefined {
    const value = this.value(key);
    if (value === undefined) {
      return undefined;
    }
    if (!ArrayBuffer.isView(value) || value instanceof BigInt64Array || value instanceof BigUint64Array) {
      throw this.wrong(key, 'a list of numbers');
    }
    return value;
  }
}

function shownValue(value: GgufValue | undefined): string {
  if (typeof value === 'bigint') {
    return String(value);
  }
  return shown(
    ArrayBuffer.isView(value) ? Array.from(value.subarray(0, 9) as ArrayLike<number | bigint>, String) : value,
  );
}
