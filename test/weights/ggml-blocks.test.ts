// Blocks of each type: bit for bit what ggml makes of them; and read in any portions, the same.

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { WEIGHTS } from '../../src/files/file-kinds.js';
import { openFile } from '../../src/files/open-file.js';
import { readHeader } from '../../src/gguf/header.js';
import { BLOCK_TYPES } from '../../src/gguf/types.js';
import { BLOCK_READERS } from '../../src/weights/ggml-blocks.js';
import { GgufFile, type Placement } from '../../src/weights/gguf-file.js';
import { expectFailure } from '../support/errors.js';
import { ggufBytes } from '../support/gguf.js';
import { tempDirs } from '../support/temp-dir.js';

const FIXTURES = fileURLToPath(new URL('../fixtures/gguf-blocks', import.meta.url));
const GOLDEN: Record<string, { values: number; first: number[]; sha256: string }> = JSON.parse(
  readFileSync(join(FIXTURES, 'values.json'), 'utf8'),
);
const tempDir = tempDirs();

const blocksOf = (type: string) => new Uint8Array(readFileSync(join(FIXTURES, `${type}.bin`)));
const numberOf = (type: string) => [...BLOCK_TYPES].find(([, { name }]) => name === type)?.[0] as number;

function valuesOf(type: string): Float32Array {
  const into = new Float32Array(GOLDEN[type]?.values ?? 0);
  BLOCK_READERS.get(type)?.(blocksOf(type), into);
  return into;
}

it.each(Object.keys(GOLDEN))('%s: every bit', (type) => {
  const values = valuesOf(type);
  const golden = GOLDEN[type];
  expect(Array.from(values.subarray(0, 4))).toEqual(golden?.first);
  expect(createHash('sha256').update(values).digest('hex')).toBe(golden?.sha256);
});

it('every type has its blocks here, but for those of whole numbers of bytes', () => {
  expect([...BLOCK_READERS.keys()].sort()).toEqual([...Object.keys(GOLDEN), 'F32'].sort());
});

async function fileOf(
  type: string,
  dims: readonly number[],
  placement: Omit<Placement, 'name'> = {},
): Promise<GgufFile> {
  const path = join(tempDir(), 'x.gguf');
  writeFileSync(path, ggufBytes({ tensors: [{ name: 'x', dims, type: numberOf(type), bytes: blocksOf(type) }] }));
  const file = await openFile(path, WEIGHTS);
  return new GgufFile(file, await readHeader(file), (name) => ({ name, ...placement }));
}

async function portions(file: GgufFile, count: number, length: number): Promise<Float32Array> {
  const [entry] = file.entries.values();
  const all = new Float32Array(count);
  for (let first = 0; first < count; first += length) {
    await file.read(entry as never, all.subarray(first, Math.min(count, first + length)), first);
  }
  await file.close();
  return all;
}

describe('a tensor in portions', () => {
  const WIDTH = 256;
  const ROWS = 32;
  const whole = valuesOf('Q5_K').subarray(0, WIDTH * ROWS);
  const at = (row: number, column: number) => whole[row * WIDTH + column] as number;
  const LENGTHS = [1000, WIDTH, 7 * WIDTH, WIDTH * ROWS];

  it.each(LENGTHS)('of %i values', async (length) => {
    expect(await portions(await fileOf('Q5_K', [WIDTH, ROWS]), whole.length, length)).toEqual(whole);
  });

  it.each(LENGTHS)('turned, of %i values', async (length) => {
    const file = await fileOf('Q5_K', [WIDTH, ROWS], { isTurned: true });
    expect([...file.entries.values()][0]?.shape).toEqual([WIDTH, ROWS]);
    const turned = Float32Array.from(whole, (_, i) => at(i % ROWS, Math.floor(i / ROWS)));
    expect(await portions(file, whole.length, length)).toEqual(turned);
  });

  it.each(LENGTHS)('in another order of rows, of %i values', async (length) => {
    const order = { rows: 8, unitOf: (unit: number) => 3 - unit, rowOf: (row: number) => (row + 3) % 8 };
    const file = await fileOf('Q5_K', [WIDTH, ROWS], { order });
    const expected = Float32Array.from(whole, (_, i) => {
      const row = Math.floor(i / WIDTH);
      return at((3 - Math.floor(row / 8)) * 8 + (((row % 8) + 3) % 8), i % WIDTH);
    });
    expect(await portions(file, whole.length, length)).toEqual(expected);
  });

  it('an order that does not fit is refused', async () => {
    await expectFailure(
      () => fileOf('Q5_K', [WIDTH, ROWS], { order: { rows: 7 } }),
      'x: expected a multiple of 7 rows',
    );
    await expectFailure(() => fileOf('Q5_K', [WIDTH * ROWS], { isTurned: true }), 'x: expected a matrix');
  });
});

it('a type that is not computed is refused by name', async () => {
  const path = join(tempDir(), 'x.gguf');
  writeFileSync(path, ggufBytes({ tensors: [{ name: 'x', dims: [256], type: 16, bytes: Buffer.alloc(66) }] }));
  const file = await openFile(path, WEIGHTS);
  const header = await readHeader(file);
  await expectFailure(() => new GgufFile(file, header, (name) => ({ name })), 'x: expected type', 'found IQ2_XXS');
  expect(new GgufFile(file, header, () => undefined).entries.size).toBe(0);
  await file.close();
});
