// What the fuzzer holds a run to: what breaks the contract is found, what keeps it is not.

import { describe, expect, it } from 'vitest';
import { breaches, messageBreaches, numberBreaches, readObjects } from '../../fuzz/contract.js';

const ended = (code: number | string | undefined, stderr: string) => ({ code, stderr, stdout: '' });

it('a run that keeps it', () => {
  expect(breaches(ended(0, ''))).toEqual([]);
  expect(breaches(ended(2, 'kvgen: --top-p must be in (0, 1], got 1.5\n'))).toEqual([]);
  expect(
    breaches(ended(1, 'kvgen: m/config.json: not valid JSON (Unexpected end of JSON input); download it\n')),
  ).toEqual([]);
  expect(breaches(ended(130, ''), [130])).toEqual([]);
});

describe('a run that breaks it', () => {
  it.each([
    [ended(3, 'kvgen: x\n'), 'exit code 3'],
    [ended('SIGSEGV', 'kvgen: x\n'), 'exit code SIGSEGV'],
    [ended(undefined, 'kvgen: x\n'), 'exit code undefined'],
    [ended(1, ''), 'exit code 1 without a word'],
    [ended(1, 'broken\n'), 'exit code 1 without a word'],
    [ended(1, 'kvgen: x'), 'does not end in a newline'],
    [ended(1, `kvgen: ${'x'.repeat(400)}\n`), 'a line of 407 characters'],
    [ended(1, 'kvgen: Maximum call stack size exceeded\n'), "JavaScript's own words"],
    [ended(1, 'kvgen: m/config.json: type is not iterable\n'), "JavaScript's own words"],
    [ended(1, 'kvgen: x\n    at Object.<anonymous> (/x.js:1:7)\n'), "JavaScript's own words"],
    [ended(0, '(node:17) Warning: something\n'), "JavaScript's own words"],
    [ended(1, 'kvgen: found \u001b[31m\n'), 'a control character'],
    [ended(1, 'kvgen: found \u009b31m\n'), 'a control character'],
  ])('%o', (run, what) => {
    expect(breaches(run).join()).toContain(what);
  });
});

it('messages in JSON: one line, in words', () => {
  expect(messageBreaches('max_tokens: expected a number')).toEqual([]);
  expect(messageBreaches('a\nb')).toEqual([expect.stringContaining('more than one line')]);
  expect(messageBreaches('x is not iterable')).toHaveLength(1);
});

it('JSON lines that are none, and log-probabilities that are none', () => {
  expect(readObjects('{"a":1}\n[2]\n')).toEqual({ objects: [{ a: 1 }, [2]], wrong: [] });
  expect(readObjects('{"a":\n').wrong).toEqual([expect.stringContaining('not JSON')]);
  expect(readObjects('{}').wrong).toEqual([expect.stringContaining('newline')]);
  expect(readObjects('"\u007f"\n').wrong).toEqual([expect.stringContaining('a control character')]);
  const sound = { tokens: [{ logprob: -1 }], prompt_tokens_detail: [{ logprob: null }, { logprob: -2 }] };
  expect(numberBreaches(sound)).toEqual([]);
  expect(numberBreaches({ ...sound, tokens: [{ logprob: null }] })).toEqual(['logprob null of a token']);
  expect(numberBreaches({ prompt_tokens_detail: [{ logprob: null }, { logprob: null }] })).toHaveLength(1);
});
