import { describe, expect, it } from 'vitest';
import { benchPoints } from '../../../src/cli/bench/points.js';
import { expectFailure } from '../../support/errors.js';

type Asked = Parameters<typeof benchPoints>[0];

function names(args: Partial<Asked>, nPositions = 1024): string[] {
  return benchPoints({ genTokens: 32, cachedOnly: false, ...args }, nPositions).map(
    ({ name, cache, depth }) => `${name}@${depth}${cache ? '' : ' uncached'}`,
  );
}

describe('without options', () => {
  it('a GPT-2 gets everything, each depth with and without the cache', () => {
    expect(names({})).toEqual([
      'pp128@0',
      'pp512@0',
      ...[0, 256, 512, 768].flatMap((depth) => [`tg32@${depth}`, `tg3@${depth} uncached`]),
    ]);
  });

  it.each([
    [544, ['pp128@0', 'pp512@0', 'tg32@0', 'tg32@256', 'tg32@512']],
    [543, ['pp128@0', 'pp512@0', 'tg32@0', 'tg32@256']],
    [128, ['pp128@0', 'tg32@0']],
    [32, ['tg32@0']],
  ])('a context of %i gets what fits', (nPositions, expected) => {
    expect(names({ cachedOnly: true }, nPositions)).toEqual(expected);
  });

  it('a context without room for the tokens is an error that says so', async () => {
    await expectFailure(async () => names({}, 31), '--depth 0 and --gen-tokens 32', '31 positions');
  });
});

describe('with options', () => {
  it('takes them in order, each once', () => {
    expect(names({ promptTokens: [9, 3, 9], depth: [7, 0, 7], cachedOnly: true })).toEqual([
      'pp3@0',
      'pp9@0',
      'tg32@0',
      'tg32@7',
    ]);
  });

  it('measures no more tokens without the cache than with it', () => {
    expect(names({ promptTokens: [0], depth: [1], genTokens: 2 })).toEqual(['tg2@1', 'tg2@1 uncached']);
  });

  it.each([
    [{ depth: [0, 993] }, '--depth 993 and --gen-tokens 32'],
    [{ promptTokens: [128, 1025] }, '--prompt-tokens 1025'],
  ])('%j does not fit', async (args, message) => {
    await expectFailure(async () => names(args), message, '1024 positions');
  });
});
