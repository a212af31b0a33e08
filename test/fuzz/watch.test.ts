// The fuzzer sees a case that hangs, dies, throws or tells of a fault, says which it was, and goes on.

import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { runCases } from '../../fuzz/watch.js';
import { tempDirs } from '../support/temp-dir.js';

const tempDir = tempDirs();
const PLANTED = fileURLToPath(new URL('planted.js', import.meta.url));

it('every planted fault is found, under its number, and the cases behind it are run', async () => {
  const found = new Map<number, string>();
  const onResult = ({ n, kind, wrong }: { n: number; kind: string; wrong: string[] }) => {
    expect(kind).toBe('planted');
    found.set(n, wrong.join('\n').split('\n')[0] as string);
  };
  const order = { base: tempDir(), seed: 1, from: 0, to: 8, kinds: PLANTED };
  await runCases(order, { onResult, isOver: () => false, limitMs: 300 });
  expect([...found.keys()]).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect([0, 1, 2, 7].map((n) => found.get(n))).toEqual(['', 'told', 'thrown: TypeError: x is not iterable', '']);
  expect(found.get(3)).toMatch(/^hangs: no end after \d+ ms/);
  expect(found.get(4)).toMatch(/^hangs: no end after \d+ ms/);
  expect(found.get(5)).toMatch(/^the process ended \(exit 0\)/);
  expect(found.get(6)).toBe('not caught: Error: nobody awaits this');
});

it('ends where it is told to', async () => {
  const seen: number[] = [];
  const order = { base: tempDir(), seed: 1, from: 0, to: 2, kinds: PLANTED };
  await runCases(order, { onResult: ({ n }) => seen.push(n), isOver: () => seen.length > 0, limitMs: 300 });
  expect(seen).toEqual([0]);
});
