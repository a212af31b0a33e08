// The file format: values of each dtype, and every way in which a header can lie.

import { statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { WEIGHTS } from '../../src/files/file-kinds.js';
import { openFile } from '../../src/files/open-file.js';
import { SafetensorsFile } from '../../src/weights/safetensors.js';
import type { TensorEntry } from '../../src/weights/weight-file.js';
import { expectFailure } from '../support/errors.js';
import { float32, halves, type StoredTensor, writeRaw, writeSafetensors } from '../support/safetensors.js';
import { tempDirs } from '../support/temp-dir.js';

const tempDir = tempDirs();

async function valuesOf(file: SafetensorsFile, name: string): Promise<number[]> {
  const entry = file.entries.get(name) as TensorEntry;
  const values = new Float32Array(entry.shape.reduce((product, n) => product * n, 1));
  await file.read(entry, values, 0);
  return [...values];
}

const openAt = async (path: string) => SafetensorsFile.open(await openFile(path, WEIGHTS));

async function readBack(tensor: StoredTensor): Promise<number[]> {
  const path = join(tempDir(), 'one.safetensors');
  writeSafetensors(path, new Map([['x', tensor]]));
  const file = await openAt(path);
  try {
    return await valuesOf(file, 'x');
  } finally {
    await file.close();
  }
}

/** Opens a file with this header over `data` zero bytes. */
async function openWith(header: unknown, dataBytes = 16, headerLength?: bigint): Promise<SafetensorsFile> {
  const path = join(tempDir(), 'broken.safetensors');
  const text = typeof header === 'string' ? header : JSON.stringify(header);
  writeRaw(path, text, new Uint8Array(dataBytes), headerLength);
  return openAt(path);
}

const entry = (shape: unknown, offsets: unknown, dtype: unknown = 'F32') => ({ dtype, shape, data_offsets: offsets });

describe('values', () => {
  it('of float32 come bit for bit', async () => {
    const values = [0, -0, 1.5, -3.4028234663852886e38, 1.401298464324817e-45, Number.NaN, Number.POSITIVE_INFINITY];
    expect(await readBack(float32([7], values))).toEqual(values);
  });

  it.each([
    ['zero', 0x0000, 0],
    ['minus zero', 0x8000, -0],
    ['the smallest subnormal', 0x0001, 2 ** -24],
    ['the largest subnormal', 0x03ff, 1023 * 2 ** -24],
    ['a negative subnormal', 0x8200, -(2 ** -15)],
    ['the smallest normal', 0x0400, 2 ** -14],
    ['one', 0x3c00, 1],
    ['the next after one', 0x3c01, 1 + 2 ** -10],
    ['minus two', 0xc000, -2],
    ['a third', 0x3555, 0.333251953125],
    ['the largest', 0x7bff, 65504],
    ['the lowest', 0xfbff, -65504],
    ['infinity', 0x7c00, Number.POSITIVE_INFINITY],
    ['minus infinity', 0xfc00, Number.NEGATIVE_INFINITY],
    ['NaN', 0x7e01, Number.NaN],
  ])('of float16: %s', async (_, bits, value) => {
    expect(await readBack(halves('F16', [bits]))).toEqual([value]);
  });

  it.each([
    ['zero', 0x0000, 0],
    ['minus zero', 0x8000, -0],
    ['one', 0x3f80, 1],
    ['the next after one', 0x3f81, 1 + 2 ** -7],
    ['minus pi, rounded', 0xc049, -3.140625],
    ['the smallest subnormal', 0x0001, 2 ** -133],
    ['the smallest normal', 0x0080, 2 ** -126],
    ['the largest', 0x7f7f, 3.3895313892515355e38],
    ['infinity', 0x7f80, Number.POSITIVE_INFINITY],
    ['minus infinity', 0xff80, Number.NEGATIVE_INFINITY],
    ['NaN', 0x7fc0, Number.NaN],
  ])('of bfloat16: %s', async (_, bits, value) => {
    expect(await readBack(halves('BF16', [bits]))).toEqual([value]);
  });

  it('of all float16 patterns rise with the pattern, up to infinity', async () => {
    const values = await readBack(
      halves(
        'F16',
        Array.from({ length: 0x7c01 }, (_, i) => i),
      ),
    );
    expect(values.every((value, i) => i === 0 || value > (values[i - 1] as number))).toBe(true);
    expect([values[0], values.at(-1)]).toEqual([0, Number.POSITIVE_INFINITY]);
  });
});

describe('a part of a tensor', () => {
  it.each(['F32', 'F16', 'BF16'] as const)('of %s begins at any of its values', async (dtype) => {
    const path = join(tempDir(), 'part.safetensors');
    const bytes = { F32: [0, 0, 128, 63], F16: [0, 60], BF16: [128, 63] }[dtype]; // 1, little-endian
    const zeros = bytes.map(() => 0);
    const stored = new Uint8Array([zeros, zeros, bytes, zeros, bytes].flat());
    writeSafetensors(path, new Map([['x', { dtype, shape: [5], bytes: stored }]]));
    const file = await openAt(path);
    const into = new Float32Array(2);
    await file.read(file.entries.get('x') as TensorEntry, into, 2);
    expect([...into]).toEqual([1, 0]);
    await file.close();
  });
});

describe('entries', () => {
  it('may stand in any order, with metadata and empty tensors', async () => {
    const file = await openWith({
      __metadata__: { format: 'pt' },
      b: entry([2], [8, 16]),
      none: entry([0, 4], [8, 8]),
      a: entry([1, 2], [0, 8]),
    });
    expect([...file.entries.keys()].sort()).toEqual(['a', 'b', 'none']);
    expect(file.entries.get('b')).toMatchObject({ dtype: 'F32', shape: [2], byteLength: 8 });
    expect(await valuesOf(file, 'none')).toEqual([]);
    await file.close();
  });

  it('of a scalar have one value', async () => {
    const file = await openWith({ x: entry([], [0, 4]) }, 4);
    expect(await valuesOf(file, 'x')).toEqual([0]);
    await file.close();
  });

  it.each(['I64', 'I32', 'U8', 'BOOL', 'F8_E4M3'])('of dtype %s are not read as floats', async (dtype) => {
    const file = await openWith({ x: entry([2], [0, 16], dtype) });
    const reading = () => valuesOf(file, 'x');
    await expectFailure(reading, file.path, 'x:', 'F32, F16, BF16', `found ${dtype}`);
    await file.close();
  });
});

describe('a header that lies is refused', () => {
  it('about its own length', async () => {
    await expectFailure(() => openWith('{}', 0, 3n), 'broken.safetensors', 'header of 3 bytes', 'the file of 10 bytes');
    await expectFailure(() => openWith('{}', 0, 2n ** 63n), 'header of 9223372036854776000 bytes');
    await expectFailure(() => openWith('{}', 0, 2n ** 64n - 1n), 'does not fit');
    const deep = `{"a":{"dtype":${'['.repeat(50_000)}${']'.repeat(50_000)}}}`;
    await expectFailure(() => openWith(deep, 0), 'a: expected dtype, shape', 'found {"dtype":[[[…]]]}');
    const long = () => openWith(`{}${' '.repeat(10_000_000)}`, 0);
    await expectFailure(long, 'header: expected at most 10000000 bytes, found 10000002');
  });

  it.each([
    ['', 'the header is not JSON'],
    ['{"x": ', 'the header is not JSON'],
    ['[]', 'the header is not a JSON object'],
    ['null', 'the header is not a JSON object'],
    ['"x"', 'the header is not a JSON object'],
  ])('%j', async (header, problem) => {
    await expectFailure(() => openWith(header), 'broken.safetensors', problem);
  });

  it.each([
    ['no entry', 5],
    ['null', null],
    ['no dtype', { shape: [4], data_offsets: [0, 16] }],
    ['no shape', { dtype: 'F32', data_offsets: [0, 16] }],
    ['no offsets', { dtype: 'F32', shape: [4] }],
    ['one offset', entry([4], [0])],
    ['three offsets', entry([4], [0, 8, 16])],
    ['offsets that fall', entry([4], [16, 0])],
    ['a negative offset', entry([4], [-16, 0])],
    ['a fraction', entry([4], [0, 16.5])],
    ['offsets as text', entry([4], ['0', '16'])],
    ['a negative size', entry([-4], [0, 16])],
    ['a size beyond 2^53', entry([2 ** 53], [0, 16])],
    ['a size as text', entry(['4'], [0, 16])],
  ])('in an entry with %s', async (_, value) => {
    await expectFailure(() => openWith({ x: value }), 'broken.safetensors', 'x: expected dtype, shape', 'found');
  });

  it('in an entry too deep to be written again', async () => {
    const deep = `{"x":{"dtype":${'['.repeat(5000)}${']'.repeat(5000)}}}`;
    await expectFailure(() => openWith(deep), 'x: expected dtype, shape', 'found {"dtype":[[[…]]]}');
  });

  it.each([
    ['too many values', [5], 'expected 20 bytes for F32 [5], found 16 bytes'],
    ['too few', [3], 'expected 12 bytes for F32 [3], found 16 bytes'],
    ['a product beyond 2^53', [2 ** 40, 2 ** 40], 'for F32 [1099511627776, 1099511627776], found 16 bytes'],
    ['a product that wraps to 16 in 64 bits', [2 ** 32, 2 ** 32, 4], 'found 16 bytes'],
    ['a size of 0', [4, 0], 'expected 0 bytes for F32 [4, 0], found 16 bytes'],
  ])('about the shape: %s', async (_, shape, problem) => {
    await expectFailure(() => openWith({ x: entry(shape, [0, 16]) }), 'broken.safetensors', 'x:', problem);
  });

  it('with bytes that overlap', async () => {
    const header = { a: entry([3], [0, 12]), b: entry([2], [8, 16]) };
    await expectFailure(() => openWith(header), 'b: overlapping or missing bytes', 'expected it to begin at byte');
  });

  it('with the same bytes twice', async () => {
    const header = { a: entry([4], [0, 16]), b: entry([4], [0, 16]) };
    await expectFailure(() => openWith(header), 'overlapping or missing bytes');
  });

  it('with a gap between or before', async () => {
    const between = { a: entry([1], [0, 4]), b: entry([2], [8, 16]) };
    await expectFailure(() => openWith(between), 'b: overlapping or missing bytes');
    await expectFailure(() => openWith({ a: entry([2], [8, 16]) }), 'a: overlapping or missing bytes');
  });

  it('with bytes beyond the end of the file', async () => {
    await expectFailure(() => openWith({ a: entry([6], [0, 24]) }), 'truncated: expected 87 bytes, found 79');
  });

  it('with bytes that no tensor has', async () => {
    await expectFailure(() => openWith({ a: entry([3], [0, 12]) }), 'followed by bytes of no tensor');
  });
});

describe('a file', () => {
  it.each([0, 7, 8, 40])('of its first %i bytes is refused', async (length) => {
    const path = join(tempDir(), 'cut.safetensors');
    writeSafetensors(path, new Map([['x', float32([4], [1, 2, 3, 4])]]));
    truncateSync(path, length);
    await expectFailure(() => openAt(path), 'cut.safetensors', 'download');
  });

  it('cut by one byte is refused with both lengths', async () => {
    const path = join(tempDir(), 'cut.safetensors');
    writeSafetensors(path, new Map([['x', float32([4], [1, 2, 3, 4])]]));
    const { size } = statSync(path);
    truncateSync(path, size - 1);
    await expectFailure(() => openAt(path), `truncated: expected ${size} bytes, found ${size - 1}`);
  });

  it('that shrinks after it was opened is noticed', async () => {
    const path = join(tempDir(), 'shrinks.safetensors');
    writeSafetensors(path, new Map([['x', float32([4], [1, 2, 3, 4])]]));
    const file = await openAt(path);
    truncateSync(path, statSync(path).size - 6);
    const reading = () => valuesOf(file, 'x');
    await expectFailure(reading, path, 'x: expected 16 bytes, found 10');
    await file.close();
  });
});
