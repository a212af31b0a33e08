// How much may be kept, and for how long: from the environment. Knows nothing of files.

import { UsageError } from '../errors.js';

export interface Limits {
  readonly maxBytes: number;
  readonly maxAgeMs: number;
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** @throws UsageError for what is no number */
export function readLimits(env: NodeJS.ProcessEnv): Limits {
  return {
    maxBytes: read(env, 'KVGEN_CACHE_MAX_BYTES', 2 ** 31, /^\d+$/, 'a whole number of bytes'),
    maxAgeMs: DAY_MS * read(env, 'KVGEN_CACHE_MAX_AGE_DAYS', 30, /^\d+(\.\d+)?$/, 'a number of days'),
  };
}

function read(env: NodeJS.ProcessEnv, name: string, fallback: number, form: RegExp, what: string): number {
  const value = env[name];
  if (value === undefined || value === '') {
    return fallback;
  }
  if (!form.test(value) || !Number.isFinite(Number(value))) {
    throw new UsageError(`${name} must be ${what}, got ${JSON.stringify(value)}`);
  }
  return Number(value);
}
