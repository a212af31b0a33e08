// What the library's `generate` takes as options. Names, kinds and ranges are those of the command, in camelCase.
// Knows nothing of models.

import { inspect } from 'node:util';
import { UsageError } from '../errors.js';
import type { SamplingOptions } from '../sampling/sampler.js';
import { GENERATE_OPTIONS } from '../settings.js';

/** As the command's options, with the same defaults. */
export interface GenerateOptions extends Partial<SamplingOptions> {
  /** 0 or more; default 128. Infinity: to the end of the context. */
  maxTokens?: number;
  /** 0 … 2^53−1. Default: a random one, which is not reported. */
  seed?: number;
  /** Texts that end the generation; the text before the first is yielded, itself not. */
  stop?: readonly string[];
  /** Treat the end-of-text token like any other. */
  ignoreEos?: boolean;
  /** false: recompute everything for each token. */
  cache?: boolean;
  /** At the end of the context: stop (default), or keep the beginning and the latest half and go on. */
  onFull?: 'stop' | 'reprefill';
  /** Give the log-probability (natural logarithm) of each token, and the so many likeliest: 0 … 1000. */
  logprobs?: number;
  /** Ends the generation at the next token; what is yielded by then stays. */
  signal?: AbortSignal;
}

interface Kind {
  readonly expected: string;
  readonly holds: (value: unknown) => boolean;
}

const FLAG: Kind = { expected: 'true or false', holds: (value) => typeof value === 'boolean' };
/** Its range is that of the command's option. */
const NUMBER: Kind = { expected: 'a number', holds: (value) => typeof value === 'number' };

const KINDS: Readonly<Record<keyof GenerateOptions, Kind>> = {
  maxTokens: {
    expected: 'a whole number from 0, or Infinity',
    holds: (value) => value === Number.POSITIVE_INFINITY || (Number.isSafeInteger(value) && (value as number) >= 0),
  },
  seed: NUMBER,
  temperature: NUMBER,
  topK: NUMBER,
  topP: NUMBER,
  minP: NUMBER,
  repeatPenalty: NUMBER,
  frequencyPenalty: NUMBER,
  presencePenalty: NUMBER,
  repeatLastN: NUMBER,
  logprobs: NUMBER,
  ignoreEos: FLAG,
  cache: FLAG,
  onFull: { expected: "'stop' or 'reprefill'", holds: (value) => value === 'stop' || value === 'reprefill' },
  stop: {
    expected: 'a list of texts, none of them empty',
    holds: (value) => Array.isArray(value) && value.every((text) => typeof text === 'string' && text !== ''),
  },
  logitBias: {
    expected: 'a Map of token ids and numbers',
    holds: (value) => value instanceof Map && [...value].every(([id, bias]) => isBias(id, bias)),
  },
  signal: { expected: 'an AbortSignal', holds: (value) => value instanceof AbortSignal },
};

/** @throws UsageError with the option's name, what was expected and what was found */
export function checkOptions(options: GenerateOptions): void {
  if (typeof options !== 'object' || options === null) {
    throw new UsageError(`options must be an object, got ${inspect(options)}`);
  }
  for (const [name, value] of Object.entries(options)) {
    const kind = KINDS[name as keyof GenerateOptions] as Kind | undefined;
    if (kind === undefined) {
      throw new UsageError(`generate has no option ${name}; it has ${Object.keys(KINDS).join(', ')}`);
    }
    if (value !== undefined && !kind.holds(value)) {
      throw new UsageError(
        `${name} must be ${kind.expected}, got ${inspect(value, { depth: 1, breakLength: Infinity })}`,
      );
    }
    if (value !== undefined && kind === NUMBER) {
      checkRange(name, value);
    }
  }
}

function checkRange(name: string, value: number): void {
  const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  const row = GENERATE_OPTIONS.find(({ flags }) => flags.split(/[ ,]+/).includes(flag));
  try {
    row?.parse?.(String(value), undefined);
  } catch (error) {
    throw error instanceof UsageError ? new UsageError(error.message.replace(flag, name)) : error;
  }
}

function isBias(id: unknown, bias: unknown): boolean {
  return Number.isSafeInteger(id) && (id as number) >= 0 && typeof bias === 'number' && bias < Number.POSITIVE_INFINITY;
}
