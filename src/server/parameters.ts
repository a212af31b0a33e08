// The parameters of a request, read by a table: a row says how a value is read, or why it is refused. What no row names is
// refused too, so that nothing is ever ignored. Knows nothing of what parameters mean.

import { shown } from '../errors.js';
import type { Kind } from '../kinds.js';
import { aboutParameter, wrongParameter } from './api-error.js';
import type { JsonObject } from './json-body.js';

/** Reads the value of a parameter. @throws ApiError, or KvgenError, that says what was expected and what was found */
type Reader<T> = (json: unknown, name: string) => T;

export type Parameters = Readonly<Record<string, Reader<unknown>>>;

export type ParametersOf<P extends Parameters> = { readonly [K in keyof P]?: Exclude<ReturnType<P[K]>, undefined> };

/** The values that were given. null stands for a value that was not. @throws ApiError that names the parameter */
export function readParameters<P extends Parameters>(table: P, json: JsonObject): ParametersOf<P> {
  const values = Object.entries(json)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => [name, readOne(table, name, value)] as const);
  return Object.fromEntries(values.filter(([, value]) => value !== undefined)) as ParametersOf<P>;
}

function readOne(table: Parameters, name: string, value: unknown): unknown {
  const read = Object.hasOwn(table, name) ? table[name] : undefined;
  if (read === undefined) {
    throw wrongParameter(name.slice(0, 80), `${shown(name)}: unknown parameter; leave it out`, 'unknown_parameter');
  }
  return aboutParameter(name, () => read(value, name));
}

/** A value of a setting, in the setting's own range. */
export function setting<T>(kind: Kind<T>): Reader<T> {
  return (json, name) => kind.fromValue(json, name);
}

/** A value of a setting that JSON writes in a way of its own. */
export function jsonSetting<T>(kind: Kind<T>): Reader<T> {
  return (json, name) => kind.fromJson(json, name);
}

/** Refuses whatever is not one of the values that ask for nothing. */
export function notDone(why: string, nothing: readonly unknown[] = []): Reader<undefined> {
  return (json, name) => {
    if (!nothing.some((value) => JSON.stringify(value) === JSON.stringify(json))) {
      throw wrongParameter(name, `${name}: ${why}`, 'unsupported_parameter');
    }
    return undefined;
  };
}

/** An object with parameters of its own. */
export function objectOf<P extends Parameters>(table: P): Reader<ParametersOf<P>> {
  return (json, name) => {
    if (typeof json !== 'object' || json === null || Array.isArray(json)) {
      throw wrongParameter(name, `${name} must be an object, got ${shown(json)}`);
    }
    const within = Object.fromEntries(Object.entries(json).map(([key, value]) => [`${name}.${key}`, value]));
    const rows = Object.fromEntries(Object.entries(table).map(([key, read]) => [`${name}.${key}`, read]));
    const read = Object.entries(readParameters(rows, within)).map(([key, value]) => [
      key.slice(name.length + 1),
      value,
    ]);
    return Object.fromEntries(read) as ParametersOf<P>;
  };
}
