// The kinds of values that settings have. Each kind reads a value from a text (the command line), from JSON (a line of
// a batch) and from a value of JavaScript (a program that uses the library). Knows nothing of single settings.

import { inspect } from 'node:util';
import { shown, UsageError } from './errors.js';

/** The `from…` functions throw UsageError. `name` is what the value is called there: `--max-tokens`, `max_tokens`. */
export interface Kind<T> {
  /** As --help shows it, such as `<n>`; undefined: a flag, which takes no value. */
  readonly value?: string;
  readonly choices?: readonly string[];
  /** What a shell completes the value with. */
  readonly completes?: 'files' | 'models';
  is(value: unknown): value is T;
  /** Flags and choices do without it. `previous` is the value of the same option given before. */
  fromText?(text: string, name: string, previous?: T): T;
  fromJson(json: unknown, name: string): T;
  fromValue(value: unknown, name: string): T;
}

const isFlag = (value: unknown) => typeof value === 'boolean';
const isNumber = (value: unknown) => typeof value === 'number';
const isText = (value: unknown) => typeof value === 'string';
const isId = (value: unknown): value is number => isNumber(value) && Number.isSafeInteger(value) && value >= 0;

function isListOf<T>(value: unknown, is: (one: unknown) => one is T): value is T[] {
  return Array.isArray(value) && value.every(is);
}

export const flag: Kind<boolean> = {
  is: isFlag,
  fromJson: checkedJson('true or false', isFlag),
  fromValue: checked('true or false', isFlag),
};

export function oneOf<const T extends string>(choices: readonly T[]): Kind<T> {
  const is = (value: unknown): value is T => choices.some((choice) => choice === value);
  const fromJson = (json: unknown, name: string) => {
    const choice = numberOrText(json, name);
    if (!is(choice)) {
      throw wrongJson(name, `one of ${choices.join(', ')}`, json);
    }
    return choice;
  };
  const quoted = choices.map((choice) => `'${choice}'`);
  const expected = `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`;
  return { value: '<name>', choices, is, fromJson, fromValue: checked(expected, is) };
}

/** One or more of the choices, with commas between them. */
export function someOf<const T extends string>(choices: readonly T[]): TextKind<readonly T[]> {
  const one = oneOf(choices);
  const is = (value: unknown): value is readonly T[] => isListOf(value, one.is) && value.length > 0;
  const expected = `some of ${choices.join(', ')}, with commas between them`;
  const kind = ofText(expected, is, (text, name) => {
    const list: readonly string[] = text.split(',');
    if (!is(list)) {
      throw new UsageError(`${name} must be ${expected}, got ${quote(text)}`);
    }
    return list;
  });
  return { ...kind, value: '<list>', choices };
}

export function integer({ min, max = Number.MAX_SAFE_INTEGER }: { min: number; max?: number }): TextKind<number> {
  const range = `${min} … ${max === Number.MAX_SAFE_INTEGER ? '2^53−1' : max}`;
  return numeric('<n>', (text, name) => {
    const n = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(Number.isSafeInteger(n) && n >= min && n <= max)) {
      throw new UsageError(`${name} must be a whole number in ${range}, got ${quote(text)}`);
    }
    return n;
  });
}

/** `above` is a lower bound that is not allowed itself. */
export function number({ min, above, max }: { min?: number; above?: number; max?: number }): TextKind<number> {
  const from = above !== undefined ? `(${above}` : min !== undefined ? `[${min}` : '(−∞';
  const range = `${from}, ${max === undefined ? '∞)' : `${max}]`}`;
  const [least, most] = [above ?? min ?? -Number.MAX_VALUE, max ?? Number.MAX_VALUE];
  return numeric('<x>', (text, name) => {
    const x = toNumber(text);
    if (!(x >= least && x <= most) || x === above) {
      throw new UsageError(`${name} must be in ${range}, got ${quote(text)}`);
    }
    return x;
  });
}

/** A number, which must be in the same range wherever it comes from. */
function numeric(value: string, fromText: (text: string, name: string) => number): TextKind<number> {
  const kind = ofText('a number', isNumber, fromText);
  return { ...kind, value, fromValue: (found, name) => fromText(String(kind.fromValue(found, name)), name) };
}

/** "To the end of the context" is -1 on the command line and Infinity in a program. */
export const tokenCount: Kind<number> = {
  ...integer({ min: -1 }),
  fromValue: checked(
    'a whole number from 0, or Infinity',
    (value) => value === Number.POSITIVE_INFINITY || isId(value),
  ),
};

export const text = ofText('a text', isText, nonEmpty);
export const anyText: Kind<string> = ofText('a text', isText, (given) => given);
export const path: Kind<string> = { ...text, value: '<path>', completes: 'files' };

/** The address of a server's API, without the /v1 and the slash that may stand at its end. */
export const serverUrl: Kind<string> = { ...ofText('the URL of a server', isText, toServer), value: '<url>' };

/** A list that grows each time the option is given. */
export const texts: Kind<readonly string[]> = {
  ...ofText('a list of texts, none of them empty', isTexts, (one, name, previous = []) => {
    const list = grown(previous, () => [...previous]);
    list.push(nonEmpty(one, name));
    return list;
  }),
  fromJson: (json, name) => {
    const list: unknown = Array.isArray(json) ? json : [json];
    if (!isListOf(list, isText)) {
      throw wrongJson(name, 'a text or a list of texts', json);
    }
    return list.map((one) => nonEmpty(one, name));
  },
};

export const tokenIds: Kind<readonly number[]> = {
  ...ofText('a list of token ids', isIds, (list, name) => {
    const ids = list.split(',').map((id) => (/^\s*\d+\s*$/.test(id) ? Number(id) : Number.NaN));
    if (!isIds(ids)) {
      throw new UsageError(`${name} must be token ids with commas between them, got ${quote(list)}`);
    }
    return ids;
  }),
  value: '<ids>',
  fromJson: checkedJson('a list of token ids', isIds),
};

/** Token ids with what is added to their logits: `262=-1.5`, or in JSON `{"262": -1.5, "50256": "-inf"}`. */
export const biases: Kind<ReadonlyMap<number, number>> = {
  ...ofText('a Map of token ids and numbers', isBiases, (bias, name, previous = new Map()) =>
    grown(previous, () => new Map(previous)).set(...toBias(bias, name)),
  ),
  value: '<id=x>',
  fromJson: (json, name) => {
    const isObject = typeof json === 'object' && json !== null && !Array.isArray(json);
    const entries = isObject ? Object.entries(json) : [['', json] as const];
    if (!entries.every(([id, bias]) => /^\d+$/.test(id) && (isNumber(bias) || bias === '-inf'))) {
      throw wrongJson(name, 'an object of token ids and numbers, or "-inf"', json);
    }
    return new Map(entries.map(([id, bias]) => toBias(`${id}=${bias}`, name)));
  },
};

/** Values of repeated options. They grow in place: a copy for each of many would take quadratic time. */
const growing = new WeakSet<object>();

/** `previous`, if it is such a value; else a copy, which is one from now on: a default must not change. */
function grown<T extends object>(previous: object, copy: () => T): T {
  const value = growing.has(previous) ? (previous as T) : copy();
  growing.add(value);
  return value;
}

function toBias(text: string, name: string): readonly [number, number] {
  const [, id, bias = ''] = /^(\d+)=(.+)$/.exec(text) ?? [];
  const entry = [Number(id), bias === '-inf' ? Number.NEGATIVE_INFINITY : toNumber(bias)] as const;
  if (!isBias(entry)) {
    throw new UsageError(`${name} must be a token id, '=' and a number or -inf, got ${quote(text)}`);
  }
  return entry;
}

type TextKind<T> = Kind<T> & Required<Pick<Kind<T>, 'fromText'>>;

/** A kind whose JSON is a number or a text, and is read like a text of the command line. */
function ofText<T>(
  expected: string,
  is: (value: unknown) => value is T,
  fromText: (text: string, name: string, previous?: T) => T,
): TextKind<T> {
  const fromJson = (json: unknown, name: string) => fromText(numberOrText(json, name), name);
  return { value: '<text>', is, fromText, fromJson, fromValue: checked(expected, is) };
}

export function checked<T>(expected: string, is: (value: unknown) => value is T): Kind<T>['fromValue'] {
  return (value, name) => {
    if (!is(value)) {
      const found = inspect(value, { depth: 1, breakLength: Number.POSITIVE_INFINITY });
      throw new UsageError(`${name} must be ${expected}, got ${found}`);
    }
    return value;
  };
}

function checkedJson<T>(expected: string, is: (json: unknown) => json is T): Kind<T>['fromJson'] {
  return (json, name) => {
    if (!is(json)) {
      throw wrongJson(name, expected, json);
    }
    return json;
  };
}

function numberOrText(json: unknown, name: string): string {
  if (!isNumber(json) && !isText(json)) {
    throw wrongJson(name, 'a number or a text', json);
  }
  return String(json);
}

function wrongJson(name: string, expected: string, found: unknown): UsageError {
  return new UsageError(`${name}: expected ${expected}, found ${shown(found)}`);
}

function toServer(text: string, name: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    const found = quote(text.replace(/\/\/.*@/, '//…@')); // it may be a password
    throw new UsageError(`${name} must be an address such as http://127.0.0.1:8080, got ${found}`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new UsageError(`${name} must be an address without a user and a password; a key goes into KVGEN_API_KEY`);
  }
  if (url.search !== '' || url.hash !== '') {
    throw new UsageError(`${name} must be an address without ? and #, got ${quote(text)}`);
  }
  return url.origin + url.pathname.replace(/\/+$/, '').replace(/\/v1$/, '').replace(/\/+$/, '');
}

function nonEmpty(text: string, name: string): string {
  if (text === '') {
    throw new UsageError(`${name} must not be empty`);
  }
  return text;
}

/** Decimal notation only: Number() would accept '', ' 1 ' and 0x10. NaN: it is something else. */
function toNumber(text: string): number {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
}

/** A text as errors show it, on one line. */
export function quote(text: string): string {
  return /^[\w.+-]{1,80}$/.test(text) ? text : shown(text);
}

function isTexts(value: unknown): value is string[] {
  return isListOf(value, isText) && !value.includes('');
}

function isIds(value: unknown): value is number[] {
  return isListOf(value, isId) && value.length > 0;
}

function isBiases(value: unknown): value is Map<number, number> {
  return value instanceof Map && [...value].every(isBias);
}

function isBias([id, bias]: readonly [unknown, unknown]): boolean {
  return isId(id) && isNumber(bias) && bias < Number.POSITIVE_INFINITY;
}
