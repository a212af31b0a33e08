// Values that lie apart: each view gives what its indices say, read whole or in portions, in windows of bounded size.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readFloats } from '../../src/weights/float-values.js';
import { type Fill, gatherValues } from '../../src/weights/strided.js';
import type { TensorEntry } from '../../src/weights/weight-file.js';

const OFFSET = 12;

/** A file of uint32, in which each value is its own number; never whole in memory. */
function countingFile() {
  const reads: number[] = [];
  const fill: Fill = async (bytes, from) => {
    reads.push(bytes.length);
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    for (let i = 0; i < words.length; i++) {
      words[i] = (from - OFFSET) / 4 + i;
    }
  };
  return { fill, reads };
}

function view(shape: number[], strides: number[], start = 0): TensorEntry {
  const byteLength = 4 * shape.reduce((product, n) => product * n, 1);
  return { name: 'x', dtype: 'F32', shape, strides, offset: OFFSET + 4 * start, byteLength };
}

/** By the definition: index times stride, the last axis fastest. */
function numbers({ shape, strides = [], offset }: TensorEntry): number[] {
  let all = [(offset - OFFSET) / 4];
  for (const [axis, count] of shape.entries()) {
    all = all.flatMap((at) => Array.from({ length: count }, (_, i) => at + i * (strides[axis] as number)));
  }
  return all;
}

async function read(entry: TensorEntry, first: number, count: number, fill = countingFile().fill): Promise<number[]> {
  const into = new Uint32Array(count);
  await gatherValues(entry, into, first, fill);
  return [...into];
}

describe('values come in the order of the indices', () => {
  it.each([
    ['transposed', view([3, 4], [1, 3]), [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]],
    ['stepped', view([2, 3], [8, 2], 1), [1, 3, 5, 9, 11, 13]],
    ['one value many times', view([2, 2], [0, 0], 7), [7, 7, 7, 7]],
    ['a scalar', view([], [], 5), [5]],
    ['none', view([2, 0, 3], [1, 1, 1]), []],
  ])('%s', async (_, entry, expected) => {
    expect(await read(entry, 0, expected.length)).toEqual(expected);
  });

  it('for any view and any portion of it', async () => {
    const axis = fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 9 }));
    const some = fc.tuple(fc.array(axis, { maxLength: 4 }), fc.nat(20), fc.nat(), fc.nat());
    await fc.assert(
      fc.asyncProperty(some, async ([axes, start, a, b]) => {
        const entry = view(
          axes.map(([count]) => count),
          axes.map(([, stride]) => stride),
          start,
        );
        const all = numbers(entry);
        const [first, end] = [a % all.length, b % (all.length + 1)].sort((x, y) => x - y) as [number, number];
        expect(await read(entry, first, end - first)).toEqual(all.slice(first, end));
      }),
      { numRuns: 500 },
    );
  });
});

describe('a window is bounded', () => {
  it.each([
    ['a transposed matrix, in a few windows', view([1100, 2000], [1, 1100]), 2],
    ['rows far apart, one at a time', view([4, 3], [1e7, 1]), 4],
    ['values far apart, one at a time', view([3, 2], [1e7, 3e7]), 6],
    ['an axis that is cut, inside one that is outside', view([2, 5], [1e8, 1e6]), 6],
  ])('%s', async (_, entry, windows) => {
    const { fill, reads } = countingFile();
    const count = entry.byteLength / 4;
    const values = await read(entry, 0, count, fill);
    expect(numbers(entry).findIndex((value, i) => value !== values[i])).toBe(-1);
    expect(Math.max(...reads)).toBeLessThanOrEqual(8e6);
    expect(reads.length).toBe(windows);
  });
});

describe('each width becomes float32', () => {
  const files: [string, ArrayBufferView<ArrayBuffer>][] = [
    ['F32', new Float32Array([1, -2, 0.1, 4])],
    ['F64', new Float64Array([1, -2, 0.1, 4])],
    ['F16', new Uint16Array([0x3c00, 0xc000, 0x2e66, 0x4400])],
    ['BF16', new Uint16Array([0x3f80, 0xc000, 0x3dcd, 0x4080])],
  ];

  it.each(files)('%s, transposed', async (dtype, values) => {
    const stored = new Uint8Array(values.buffer);
    const into = new Float32Array(4);
    const entry = { ...view([2, 2], [1, 2]), dtype, offset: 0 };
    await readFloats('x', entry, into, 0, async (bytes, from) => bytes.set(stored.subarray(from, from + bytes.length)));
    expect([into[0], into[1], into[3]]).toEqual([1, Math.fround(into[1] as number), 4]);
    expect(into[2]).toBe(-2);
    expect(into[1]).toBeCloseTo(0.1, 2);
  });
});
