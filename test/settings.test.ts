// The settings: every value that a row takes, and the exact words of those it does not.

import { describe, expect, it } from 'vitest';
import { UsageError } from '../src/errors.js';
import {
  checkGenerateArgs,
  GENERATE,
  type GenerateArgs,
  optionsOf,
  readLimits,
  type Setting,
  settingsOf,
  wantsPromptCache,
} from '../src/settings.js';

function row(option: string) {
  const found = optionsOf(GENERATE).find(({ forms }) => forms.includes(option));
  if (found === undefined) {
    throw new Error(`no option ${option}`);
  }
  return found.setting;
}

const parse = (option: string, value: string, previous: unknown = row(option).fallback) =>
  row(option).kind.fromText?.(value, option, previous);

const fallbacks = settingsOf(GENERATE, {});

describe('values', () => {
  it.each<[string, string, unknown]>([
    ['--max-tokens', '0', 0],
    ['--max-tokens', '-1', -1],
    ['--max-tokens', '+7', 7],
    ['--max-tokens', '9007199254740991', 9007199254740991],
    ['--ctx-size', '1', 1],
    ['--temperature', '0', 0],
    ['--temperature', '.5', 0.5],
    ['--temperature', '5.', 5],
    ['--temperature', '1e-3', 0.001],
    ['--top-k', '0', 0],
    ['--top-p', '1', 1],
    ['--top-p', '0.001', 0.001],
    ['--min-p', '0', 0],
    ['--min-p', '1', 1],
    ['--repeat-penalty', '1.1', 1.1],
    ['--frequency-penalty', '-2', -2],
    ['--presence-penalty', '-0.5', -0.5],
    ['--repeat-last-n', '-1', -1],
    ['--seed', '0', 0],
    ['--threads', '1024', 1024],
    ['--prompt-ids', '1,2,3', [1, 2, 3]],
    ['--prompt-ids', ' 1, 2 ', [1, 2]],
    ['--stop', '\n', ['\n']],
    ['--model', 'gpt2', 'gpt2'],
    ['--file', 'a b', 'a b'],
  ])('%s %j', (option, value, expected) => {
    expect(parse(option, value)).toEqual(expected);
  });

  it('--stop and --logit-bias add up, and do not touch their defaults', () => {
    const first = parse('--stop', 'a', row('--stop').fallback) as string[];
    expect(parse('--stop', 'b', first)).toEqual(['a', 'b']);
    const bias = parse('--logit-bias', '3=-inf', row('--logit-bias').fallback);
    const both = parse('--logit-bias', '4=+2.5', bias);
    expect([...(both as Map<number, number>)]).toEqual([
      [3, Number.NEGATIVE_INFINITY],
      [4, 2.5],
    ]);
    expect(row('--stop').fallback).toEqual([]);
    expect(row('--logit-bias').fallback).toEqual(new Map());
  });
});

describe('values out of range are refused with name, range and value', () => {
  it.each<[string, string, string]>([
    ['--max-tokens', '-2', '--max-tokens must be a whole number in -1 … 2^53−1, got -2'],
    ['--max-tokens', '1.5', '--max-tokens must be a whole number in -1 … 2^53−1, got 1.5'],
    ['--max-tokens', '', '--max-tokens must be a whole number in -1 … 2^53−1, got ""'],
    ['--max-tokens', '9007199254740992', '--max-tokens must be a whole number in -1 … 2^53−1, got 9007199254740992'],
    ['--max-tokens', '0x10', '--max-tokens must be a whole number in -1 … 2^53−1, got 0x10'],
    ['--max-tokens', ' 5', '--max-tokens must be a whole number in -1 … 2^53−1, got " 5"'],
    ['--ctx-size', '0', '--ctx-size must be a whole number in 1 … 2^53−1, got 0'],
    ['--temperature', '-0.1', '--temperature must be in [0, ∞), got -0.1'],
    ['--temperature', 'NaN', '--temperature must be in [0, ∞), got NaN'],
    ['--temperature', 'Infinity', '--temperature must be in [0, ∞), got Infinity'],
    ['--temperature', '1e999', '--temperature must be in [0, ∞), got 1e999'],
    ['--temperature', '0,8', '--temperature must be in [0, ∞), got "0,8"'],
    ['--top-k', '-1', '--top-k must be a whole number in 0 … 2^53−1, got -1'],
    ['--top-p', '0', '--top-p must be in (0, 1], got 0'],
    ['--top-p', '1.5', '--top-p must be in (0, 1], got 1.5'],
    ['--min-p', '-0.1', '--min-p must be in [0, 1], got -0.1'],
    ['--min-p', '1.1', '--min-p must be in [0, 1], got 1.1'],
    ['--repeat-penalty', '0', '--repeat-penalty must be in (0, ∞), got 0'],
    ['--frequency-penalty', 'x', '--frequency-penalty must be in (−∞, ∞), got x'],
    ['--presence-penalty', '-inf', '--presence-penalty must be in (−∞, ∞), got -inf'],
    ['--repeat-last-n', '-2', '--repeat-last-n must be a whole number in -1 … 2^53−1, got -2'],
    ['--seed', '-1', '--seed must be a whole number in 0 … 2^53−1, got -1'],
    ['--threads', '0', '--threads must be a whole number in 1 … 1024, got 0'],
    ['--threads', '1025', '--threads must be a whole number in 1 … 1024, got 1025'],
    ['--prompt-ids', '', '--prompt-ids must be token ids with commas between them, got ""'],
    ['--prompt-ids', '1,,2', '--prompt-ids must be token ids with commas between them, got "1,,2"'],
    ['--prompt-ids', '-1', '--prompt-ids must be token ids with commas between them, got -1'],
    ['--stop', '', '--stop must not be empty'],
    ['--model', '', '--model must not be empty'],
    ['--file', '', '--file must not be empty'],
    ['--logit-bias', '5', "--logit-bias must be a token id, '=' and a number or -inf, got 5"],
    ['--logit-bias', '5=', '--logit-bias must be a token id, \'=\' and a number or -inf, got "5="'],
    ['--logit-bias', '5=inf', '--logit-bias must be a token id, \'=\' and a number or -inf, got "5=inf"'],
    ['--logit-bias', '-1=2', '--logit-bias must be a token id, \'=\' and a number or -inf, got "-1=2"'],
    ['--logit-bias', '5=1e999', '--logit-bias must be a token id, \'=\' and a number or -inf, got "5=1e999"'],
  ])('%s %j', (option, value, message) => {
    expect(() => parse(option, value)).toThrow(new UsageError(message));
  });

  it('on one line, whatever the value', () => {
    expect(() => parse('--seed', 'a\nb')).toThrow('--seed must be a whole number in 0 … 2^53−1, got "a\\nb"');
  });

  it('with exit code 2', () => {
    expect(new UsageError('x').exitCode).toBe(2);
  });
});

describe('conflicts', () => {
  it.each<[Partial<GenerateArgs>, string | undefined, string]>([
    [{ quiet: true, verbose: true }, undefined, '--quiet cannot go with --verbose'],
    [{ file: 'x' }, 'prompt', '--file cannot go with a prompt'],
    [{ promptIds: [1] }, 'prompt', '--prompt-ids cannot go with a prompt'],
    [{ promptIds: [1], file: 'x' }, undefined, '--prompt-ids cannot go with --file'],
  ])('%j and prompt %j', (args, prompt, message) => {
    expect(() => checkGenerateArgs({ ...fallbacks, ...args }, prompt)).toThrow(new UsageError(message));
  });

  it.each<[Partial<GenerateArgs>, string | undefined]>([
    [{}, 'prompt'],
    [{}, undefined],
    [{ quiet: true }, ''],
    [{ file: 'x', verbose: true }, undefined],
    [{ promptIds: [] }, undefined],
  ])('none: %j and prompt %j', (args, prompt) => {
    expect(() => checkGenerateArgs({ ...fallbacks, ...args }, prompt)).not.toThrow();
  });
});

describe('KVGEN_PROMPT_CACHE', () => {
  it.each<[Partial<GenerateArgs>, string | undefined, boolean]>([
    [{}, undefined, false],
    [{}, '', false],
    [{}, '0', false],
    [{}, '1', true],
    [{ promptCache: true }, '0', true],
    [{ promptCache: false }, '1', false],
    [{ cache: false }, '1', false],
  ])('%j with %j: %s', (args, value, expected) => {
    expect(wantsPromptCache({ ...fallbacks, ...args }, { KVGEN_PROMPT_CACHE: value })).toBe(expected);
  });

  it('is 0 or 1', () => {
    const message = 'KVGEN_PROMPT_CACHE must be 0 or 1, got yes';
    expect(() => wantsPromptCache(fallbacks, { KVGEN_PROMPT_CACHE: 'yes' })).toThrow(new UsageError(message));
  });
});

describe('limits of what is kept on disk', () => {
  it('have defaults and come from the environment', () => {
    expect(readLimits({})).toEqual({ maxBytes: 2147483648, maxAgeMs: 30 * 86_400_000 });
    const env = { KVGEN_CACHE_MAX_BYTES: '1000', KVGEN_CACHE_MAX_AGE_DAYS: '0.5' };
    expect(readLimits(env)).toEqual({ maxBytes: 1000, maxAgeMs: 43_200_000 });
    expect(readLimits({ KVGEN_CACHE_MAX_BYTES: '' }).maxBytes).toBe(2147483648);
  });

  it.each([
    ['KVGEN_CACHE_MAX_BYTES', '2G', 'a whole number of bytes'],
    ['KVGEN_CACHE_MAX_BYTES', '-1', 'a whole number of bytes'],
    ['KVGEN_CACHE_MAX_AGE_DAYS', 'x', 'a number of days'],
  ])('%s=%s is refused', (name, value, what) => {
    expect(() => readLimits({ [name]: value })).toThrow(new UsageError(`${name} must be ${what}, got "${value}"`));
  });
});

describe('rows', () => {
  it('name each option once', () => {
    const names = optionsOf(GENERATE).flatMap(({ forms }) => forms);
    expect(new Set(names).size).toBe(names.length);
  });

  it.each<[string, unknown]>([
    ['--model', 'stories'],
    ['--max-tokens', 128],
    ['--temperature', 0.8],
    ['--top-k', 40],
    ['--top-p', 0.95],
    ['--min-p', 0],
    ['--repeat-penalty', 1],
    ['--repeat-last-n', 64],
    ['--on-full', 'stop'],
    ['--backend', 'auto'],
    ['--ctx-size', undefined],
    ['--seed', undefined],
  ])('default of %s', (option, fallback) => {
    expect(row(option).fallback).toBe(fallback);
  });

  it('take their own defaults', () => {
    for (const { long, setting } of optionsOf(GENERATE)) {
      const { kind, fallback } = setting;
      if (kind.fromText !== undefined && (typeof fallback === 'number' || typeof fallback === 'string')) {
        expect(kind.fromText(String(fallback), long, undefined)).toBe(fallback);
      }
    }
    for (const { kind, fallback } of Object.values<Setting<unknown>>(GENERATE)) {
      if (kind.choices !== undefined && fallback !== undefined) {
        expect(kind.choices).toContain(fallback);
      }
    }
  });

  it('give the flags of the command line', () => {
    const flags = optionsOf(GENERATE).map((option) => option.flags);
    expect(flags).toEqual(
      expect.arrayContaining(['-m, --model <dir or name>', '--temp, --temperature <x>', '--no-write-cache']),
    );
    expect(flags).toEqual(expect.arrayContaining(['--prompt-cache', '--no-prompt-cache', '-q, --quiet']));
    expect(flags).not.toContain('--write-cache');
  });
});

describe('settings of a table', () => {
  it('have the fallbacks of what is not given, and nothing else', () => {
    const { topK, cache, stop, ...rest } = settingsOf(GENERATE, { topK: 3, cache: undefined, other: 1 });
    expect([topK, cache, stop]).toEqual([3, true, []]);
    expect(Object.keys(rest)).not.toEqual(expect.arrayContaining(['other']));
    expect('seed' in rest).toBe(false);
  });

  it.each([{ topK: '3' }, { cache: 1 }, { stop: 'x' }, { logitBias: {} }, { onFull: 'x' }, { promptIds: ['1'] }])(
    'are never of another kind than their types say: %j',
    (given) => {
      expect(() => settingsOf(GENERATE, given)).toThrow(`${Object.keys(given)[0]}: `);
    },
  );
});
