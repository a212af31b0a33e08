// Weights come into memory in parts and on several threads; what is then in a matrix is compared with what the tensor held.

import { afterEach, describe, expect, it } from 'vitest';
import { compileKernels } from '../../src/simd/kernels.js';
import { LinearMemory } from '../../src/simd/linear-memory.js';
import { Loader } from '../../src/simd/load-weights.js';
import { type Matrix, planMatrix } from '../../src/simd/matrix.js';
import type { Place, SimdModel } from '../../src/simd/simd-model.js';
import { Team } from '../../src/simd/team.js';
import type { NamedTensor } from '../../src/weights/weight-file.js';

const team: { current?: Team } = {};

afterEach(() => team.current?.stop());

async function loader(memory: LinearMemory): Promise<Loader> {
  team.current = new Team(await compileKernels(), memory, {} as SimdModel, 1);
  await team.current.ready();
  return new Loader(memory, team.current);
}

/** Number i of the tensor is `number(i)`; how much is read at a time is written down. */
function tensorOf(shape: number[], number: (i: number) => number, reads: number[] = []): NamedTensor {
  const read = async (into: Float32Array, first: number) => {
    reads.push(into.length);
    for (let i = 0; i < into.length; i++) {
      into[i] = number(first + i);
    }
  };
  return { name: 'tensor', shape, read };
}

/** Number k of row n lies where kernels/products.ts says. */
function expectMatrix(
  memory: LinearMemory,
  { at, columns, rows }: Matrix,
  expected: (n: number, k: number) => number,
): void {
  const values = memory.floats(at, rows * columns);
  const wrong: unknown[] = [];
  for (let n = 0; n < rows; n++) {
    for (let k = 0; k < columns; k++) {
      const found = values[(n - (n % 4)) * columns + (k - (k % 4)) * 4 + (n % 4) * 4 + (k % 4)];
      if (found !== expected(n, k)) {
        wrong.push({ n, k, found, expected: expected(n, k) });
      }
    }
  }
  expect(wrong.slice(0, 5)).toEqual([]);
}

const plain = (size: number, padded: number) => ({ group: size, padded });

describe('rows', () => {
  it('of a large vocabulary are read in parts, each from its own place', async () => {
    const memory = new LinearMemory(65_536);
    const [rows, columns] = [9001, 300];
    const matrix = planMatrix(memory, 'float32', rows, columns);
    const place: Place = {
      kind: 'matrix',
      matrix,
      lines: 'rows',
      spreadLines: plain(rows, matrix.rows),
      spreadLine: plain(columns, matrix.columns),
    };
    const reads: number[] = [];
    await (await loader(memory)).load(
      tensorOf([rows, columns], (i) => i, reads),
      place,
    );
    expect(reads.length).toBeGreaterThan(1);
    expectMatrix(memory, matrix, (n, k) => (n < rows && k < columns ? n * columns + k : 0));
  });

  it('whose width needs no filling up are read in parts too', async () => {
    const memory = new LinearMemory(65_536);
    const [rows, columns] = [5000, 512];
    const matrix = planMatrix(memory, 'float32', rows, columns);
    const lines = plain(rows, matrix.rows);
    const place: Place = { kind: 'matrix', matrix, lines: 'rows', spreadLines: lines, spreadLine: plain(512, 512) };
    await (await loader(memory)).load(
      tensorOf([rows, columns], (i) => i),
      place,
    );
    expectMatrix(memory, matrix, (n, k) => (n < rows ? n * columns + k : 0));
  });
});

describe('columns', () => {
  it('and their lines are filled up group by group, after memory was used for other things', async () => {
    const memory = new LinearMemory(65_536);
    const matrix = planMatrix(memory, 'float32', 3 * 8, 2 * 8); // three heads of 6 from two of 7, filled up to 8
    const mark = memory.reserve(1e5);
    memory.floats(mark, 25_000).fill(99);
    memory.release(mark);
    const place: Place = {
      kind: 'matrix',
      matrix,
      lines: 'columns',
      spreadLines: plain(7, 8),
      spreadLine: plain(6, 8),
    };
    await (await loader(memory)).load(
      tensorOf([14, 18], (i) => i + 1),
      place,
    );
    expectMatrix(memory, matrix, (n, k) => {
      const [head, d] = [Math.floor(n / 8), n % 8];
      const [group, line] = [Math.floor(k / 8), k % 8];
      return head < 3 && d < 6 && group < 2 && line < 7 ? (group * 7 + line) * 18 + head * 6 + d + 1 : 0;
    });
  });
});

describe('a vector', () => {
  it('is filled up group by group', async () => {
    const memory = new LinearMemory(65_536);
    const at = memory.reserve(4 * 24);
    await (await loader(memory)).load(
      tensorOf([9], (i) => i + 1),
      { kind: 'vector', at, spread: plain(3, 8) },
    );
    const filledUp = [1, 2, 3].flatMap((n) => [3 * n - 2, 3 * n - 1, 3 * n, 0, 0, 0, 0, 0]);
    expect([...memory.floats(at, 24)]).toEqual(filledUp);
  });
});

describe('memory', () => {
  it('holds no more than the matrix when it is loaded', async () => {
    const memory = new LinearMemory(65_536);
    const matrix = planMatrix(memory, 'int8', 64, 64);
    const { end } = memory;
    const place = { kind: 'matrix', matrix, spreadLines: plain(64, 64), spreadLine: plain(64, 64) } as const;
    const one = await loader(memory);
    await one.load(tensorOf([64, 64], Math.sin), { ...place, lines: 'rows' });
    await one.load(tensorOf([64, 64], Math.sin), { ...place, lines: 'columns' });
    expect(memory.end).toBe(end);
  });
});
