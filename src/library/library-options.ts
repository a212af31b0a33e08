// What the library's `generate` takes as options: the settings that decide a text, in camelCase.
// Knows nothing of models.

import { inspect } from 'node:util';
import { UsageError } from '../errors.js';
import { checked, type Kind } from '../kinds.js';
import { settingsOf, type TextSettings, takenBy } from '../settings.js';

const TABLE = takenBy('library');

/** As the command's options, with the same defaults; to the end of the context is `maxTokens: Infinity`. */
export interface GenerateOptions extends Mutable<Partial<TextSettings>> {
  /** Ends the generation at the next token; what is yielded by then stays. */
  signal?: AbortSignal;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const isSignal = (value: unknown) => value instanceof AbortSignal;

/** How each is checked. The signal is the one that is no setting. */
const CHECKS = new Map<string, Kind<unknown>['fromValue']>([
  ...Object.entries(TABLE).map(([name, { kind }]) => [name, kind.fromValue] as const),
  ['signal', checked('an AbortSignal', isSignal)],
]);

/**
 * The options with the defaults of what is not given.
 * @throws UsageError with the option's name, what was expected and what was found
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
  return settingsOf(TABLE, options);
}
