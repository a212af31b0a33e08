// Lines in parts, and the order in which those of one part run.

import { describe, expect, it } from 'vitest';
import { inOrder, partsOf, plannedPrompt } from '../../../src/cli/batch/line-order.js';
import type { Line } from '../../../src/files/lines.js';
import { GENERATE, settingsOf } from '../../../src/settings.js';

async function* lines(count: number, bytes: number, failure?: Error): AsyncGenerator<Line, void> {
  for (let number = 1; number <= count; number++) {
    yield { number, bytes: Buffer.alloc(bytes), end: number };
  }
  if (failure !== undefined) {
    throw failure;
  }
}

async function parts(source: AsyncIterable<Line>): Promise<[first: number, last: number][]> {
  const found: [number, number][] = [];
  for await (const part of partsOf(source)) {
    found.push([part[0]?.number as number, part.at(-1)?.number as number]);
  }
  return found;
}

describe('lines', () => {
  it('come in parts that fit into memory', async () => {
    expect(await parts(lines(0, 1))).toEqual([]);
    expect(await parts(lines(3, 1))).toEqual([[1, 3]]);
    expect(await parts(lines(20_000, 1))).toEqual([
      [1, 16_384],
      [16_385, 20_000],
    ]);
    expect(await parts(lines(5, 12e6))).toEqual([
      [1, 3],
      [4, 5],
    ]);
  });

  it('that were read before reading failed are given out', async () => {
    const found: number[] = [];
    const read = async () => {
      for await (const part of partsOf(lines(2, 1, new Error('gone')))) {
        found.push(...part.map(({ number }) => number));
      }
    };
    await expect(read()).rejects.toThrow('gone');
    expect(found).toEqual([1, 2]);
  });

  it('run in the order that is asked for, and in their own while too much waits', () => {
    const items = ['a', 'b', 'c', 'd', 'e'];
    const order = [4, 2, 0, 3, 1];
    expect([...inOrder(items, order, () => false)].join('')).toBe('ecadb');
    expect([...inOrder(items, order, () => true)].join('')).toBe('abcde');
    const taken: string[] = [];
    for (const item of inOrder(items, order, () => taken.length === 1 || taken.length === 2)) {
      taken.push(item);
    }
    expect(taken.join('')).toBe('eabcd');
  });

  it.each([
    [{}, { reuses: true, isKept: true }],
    [{ cache: false }, { reuses: false, isKept: false }],
    [{ echo: true }, { reuses: true, isKept: true }],
    [
      { echo: true, logprobs: 0 },
      { reuses: false, isKept: true },
    ],
  ])('with %j are planned as they will run', (given, expected) => {
    expect(plannedPrompt([1, 2], settingsOf(GENERATE, given), 1)).toEqual({ ids: [1, 2], onDisk: 1, ...expected });
  });
});
