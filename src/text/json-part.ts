// Typed access to the parts of a JSON file. Its errors name the file, the path in it, what was expected and what was found.
// Knows nothing of what the file is for.

import { errorMessage, KvgenError, shown } from '../errors.js';

export class JsonPart {
  readonly value: unknown;
  readonly file: string;
  /** In the file, such as `model.vocab`; empty: all of it. */
  readonly path: string;

  constructor(file: string, value: unknown, path = '') {
    this.file = file;
    this.value = value;
    this.path = path;
  }

  /** The error that this part is not what was expected. */
  wrong(expected: string): KvgenError {
    return this.broken(`expected ${expected}, found ${shown(this.value)}`);
  }

  /** The error that something in this part is wrong. */
  broken(problem: string): KvgenError {
    return new KvgenError(`${this.#where}: ${problem}; download the file again`);
  }

  /** The error that this part says something which kvgen does not do. */
  unsupported(what: string, advice = 'use a GPT-2-style model'): KvgenError {
    return new KvgenError(`${this.#where}: ${what}; ${advice}`);
  }

  get #where(): string {
    return this.path === '' ? this.file : `${this.file}: ${this.path}`;
  }

  /** Is it absent or null? */
  get missing(): boolean {
    return this.value === undefined || this.value === null;
  }

  /** A member of an object. */
  at(key: string): JsonPart {
    return new JsonPart(this.file, this.object()[key], this.path === '' ? key : `${this.path}.${key}`);
  }

  object(): Readonly<Record<string, unknown>> {
    if (typeof this.value !== 'object' || this.value === null || Array.isArray(this.value)) {
      throw this.wrong('an object');
    }
    return this.value as Record<string, unknown>;
  }

  list(): JsonPart[] {
    if (!Array.isArray(this.value)) {
      throw this.wrong('a list');
    }
    return this.value.map((one: unknown, i) => new JsonPart(this.file, one, `${this.path}[${i}]`));
  }

  text(): string {
    if (typeof this.value !== 'string') {
      throw this.wrong('a text');
    }
    return this.value;
  }

  flag(fallback: boolean): boolean {
    if (this.missing) {
      return fallback;
    }
    if (typeof this.value !== 'boolean') {
      throw this.wrong('true or false');
    }
    return this.value;
  }
}

/** The object in a file of JSON. @throws KvgenError for what is no JSON object */
export function parseJson({ path, text }: { readonly path: string; readonly text: string }): JsonPart {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new KvgenError(`${path}: not valid JSON (${errorMessage(error)}); download the file again`);
  }
  const part = new JsonPart(path, value);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw part.wrong('a JSON object');
  }
  return part;
}
