// The options of the library's `generate`: the settings that decide a text, in camelCase. Knows nothing of what they do.

import { inspect } from 'node:util';
import type { ChatModel } from '../chat/conversation.js';
import { UsageError } from '../errors.js';
import { checked, type Kind } from '../kinds.js';
import { settingsOf, type TextSettings, takenBy } from '../settings.js';

const TABLE = takenBy('library');

/** The command's options with the same defaults; `maxTokens: Infinity` generates to the end of the context. */
export interface GenerateOptions extends Mutable<Partial<TextSettings>> {
  /** Ends the generation at the next token; this is no error. */
  signal?: AbortSignal;
  /** A second, smaller model with the same tokens, which guesses for `draft`. Default: what was said before is looked up. */
  draftModel?: ChatModel;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const isSignal = (value: unknown) => value instanceof AbortSignal;

const isModel = (value: unknown) => typeof value === 'object' && value !== null && 'engine' in value;

/** The check of each option. `signal` and `draftModel` are no settings here. */
const CHECKS = new Map<string, Kind<unknown>['fromValue']>([
  ...Object.entries(TABLE).map(([name, { kind }]) => [name, kind.fromValue] as const),
  ['signal', checked('an AbortSignal', isSignal)],
  ['draftModel', checked('a model that loadModel gave', isModel)],
]);

/**
 * The given options, and defaults for the others.
 * @throws UsageError with the option's name, what was expected and what was found; or with two that cannot go together
 */
export function readOptions(options: GenerateOptions): TextSettings {
  if (typeof options !== 'object' || options === null) {
    throw new UsageError(`options must be an object, got ${inspect(options)}`);
  }
  for (const [name, value] of Object.entries(options)) {
    const check = CHECKS.get(name);
    if (check === undefined) {
      throw new UsageError(`generate has no option ${name}; it has ${[...CHECKS.keys()].join(', ')}`);
    }
    if (value !== undefined) {
      check(value, name);
    }
  }
  const settings = settingsOf(TABLE, options);
  if (!settings.cache && settings.draft > 0) {
    throw new UsageError('cache: false cannot go with draft');
  }
  if (options.draftModel !== undefined && settings.draft === 0) {
    throw new UsageError('draftModel needs draft');
  }
  return { ...settings, stop: [...settings.stop] }; // what is built for a list holds for as long as the list is the same
}
