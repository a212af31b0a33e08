// The header of a GGUF file: what a sound one says, compared with another reader; and one line for each that is not sound.

import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gguf } from '@huggingface/gguf';
import { describe, expect, it } from 'vitest';
import { WEIGHTS } from '../../src/files/file-kinds.js';
import { openFile } from '../../src/files/open-file.js';
import { type GgufHeader, readHeader } from '../../src/gguf/header.js';
import { expectFailure } from '../support/errors.js';
import { type GgufParts, ggufBytes, text, texts, u32 } from '../support/gguf.js';
import { tempDirs } from '../support/temp-dir.js';

const FIXTURES = fileURLToPath(new URL('../fixtures/gguf', import.meta.url));
const tempDir = tempDirs();
const ONE = { name: 'x', dims: [2, 3], type: 0, bytes: Buffer.from(Float32Array.of(1, 2, 3, 4, 5, 6).buffer) };

async function headerOf(bytes: Uint8Array): Promise<GgufHeader> {
  const path = join(tempDir(), 'x.gguf');
  writeFileSync(path, bytes);
  return readPath(path);
}

async function readPath(path: string): Promise<GgufHeader> {
  const file = await openFile(path, WEIGHTS);
  try {
    return await readHeader(file);
  } finally {
    await file.close();
  }
}

const refused = (parts: GgufParts, ...words: string[]) => expectFailure(() => headerOf(ggufBytes(parts)), ...words);

describe('a sound file', () => {
  it('has typed metadata and tensors, the last axis fastest', async () => {
    const { metadata, tensors } = await headerOf(
      ggufBytes({
        metadata: [
          ['a', text('ü')],
          ['b', { type: 'BOOL', value: true }],
          ['c', { type: 'UINT64', value: 2 ** 40 }],
          ['d', { type: 'INT8', value: -3 }],
          ['e', { type: 'FLOAT64', value: 0.1 }],
          ['f', { list: 'INT32', value: [1, -2] }],
          ['g', texts(['', '\ufeff', 'x'])],
        ],
        tensors: [ONE, { ...ONE, name: 'y', dims: [], bytes: Buffer.alloc(4) }],
      }),
    );
    expect([metadata.text('a'), metadata.flag('b'), metadata.count('c')]).toEqual(['ü', true, 2 ** 40]);
    expect([metadata.number('d'), metadata.number('e')]).toEqual([-3, 0.1]);
    expect(metadata.numbers('f')).toEqual(Int32Array.of(1, -2));
    expect(metadata.texts('g')).toEqual(['', '\ufeff', 'x']);
    expect(metadata.count('none')).toBeUndefined();
    const [x, y] = [tensors.get('x'), tensors.get('y')];
    expect(x).toMatchObject({ shape: [3, 2], byteLength: 24, type: { name: 'F32' } });
    expect(y).toMatchObject({ shape: [], byteLength: 4, offset: (x?.offset ?? 0) + 32 });
  });

  it('is read through a window: a text may lie across its end, or be longer than it', async () => {
    for (const length of [2 ** 20 - 60, 2 ** 20 - 30, 2 ** 20, 3 * 2 ** 20]) {
      const list = ['x'.repeat(length), 'y'.repeat(400), '', 'é'.repeat(9)];
      const { metadata, tensors } = await headerOf(ggufBytes({ metadata: [['k', texts(list)]], tensors: [ONE] }));
      expect(metadata.texts('k')).toEqual(list);
      expect(tensors.get('x')?.shape).toEqual([3, 2]);
    }
  });

  it('may have another alignment, and version 2', async () => {
    const alignment = ['general.alignment', u32(64)] as const;
    const { tensors } = await headerOf(
      ggufBytes({ version: 2, metadata: [alignment], alignment: 64, tensors: [ONE, { ...ONE, name: 'y' }] }),
    );
    expect((tensors.get('y')?.offset ?? 0) - (tensors.get('x')?.offset ?? 0)).toBe(64);
  });

  it.each(readdirSync(FIXTURES).filter((name) => name.endsWith('.gguf')))(
    '%s: as @huggingface/gguf reads it',
    async (name) => {
      const path = join(FIXTURES, name);
      const [ours, theirs] = [await readPath(path), await gguf(path, { allowLocalFile: true })];
      const { version, tensor_count, kv_count, ...metadata } = theirs.metadata as Record<string, unknown>;
      expect([version, Number(kv_count), Number(tensor_count)]).toEqual([
        3,
        [...ours.metadata.keys].length,
        ours.tensors.size,
      ]);
      for (const [key, value] of Object.entries(metadata)) {
        const own = ours.metadata.value(key);
        expect(ArrayBuffer.isView(own) ? Array.from(own as Float32Array) : own).toEqual(value);
      }
      const start = Number(theirs.tensorDataOffset);
      expect([...ours.tensors.values()].map(({ name, shape, offset }) => ({ name, shape, offset }))).toEqual(
        theirs.tensorInfos.map(({ name, shape, offset }) => ({
          name,
          shape: shape.map(Number).reverse(),
          offset: start + Number(offset),
        })),
      );
    },
  );
});

describe('another file', () => {
  it.each([
    [{ magic: 'GGML' }, 'begins with GGUF, found "GGML"'],
    [{ version: 1 }, 'found version 1'],
    [{ version: 4 }, 'found version 4'],
    [{ version: 0x03000000 }, 'found a big-endian file'],
    [{ version: 0 }, 'found version 0'],
  ])('%j is named', async (parts, words) => {
    await refused(parts, 'x.gguf', words);
  });

  it('an empty one', async () => {
    await expectFailure(() => headerOf(new Uint8Array()), 'expected 8 bytes', 'found 0');
  });
});

describe('a damaged file', () => {
  it('cut off anywhere, but in what only pads the last tensor, is named as such', async () => {
    const whole = ggufBytes({ metadata: [['k', texts(['a', 'b'])]], tensors: [ONE] });
    for (let length = 8; length <= whole.length - 12; length += 5) {
      await expectFailure(() => headerOf(whole.subarray(0, length)), 'x.gguf: ');
    }
  });

  it.each([
    ['counts of more than there is', { claims: { tensors: 2 ** 60 } }, 'expected at most', 'tensors'],
    ['entries of more than there is', { claims: { entries: 1000 } }, 'expected at most'],
    [
      'a key twice',
      {
        metadata: [
          ['k', u32(1)],
          ['k', u32(2)],
        ],
      },
      'k: it is there twice',
    ],
    ['a tensor twice', { tensors: [ONE, ONE] }, 'x: it is there twice'],
    ['a type that is not known', { tensors: [{ ...ONE, type: 77 }] }, 'x: type 77 is not known'],
    ['a type that has been given up', { tensors: [{ ...ONE, type: 4 }] }, 'x: type 4 is not known'],
    ['five axes', { tensors: [{ ...ONE, dims: [1, 1, 1, 1, 6] }] }, 'at most 4 axes, found 5'],
    ['a row of half a block', { tensors: [{ ...ONE, dims: [33], type: 8 }] }, 'a multiple of 32', 'found [33]'],
    ['sizes beyond all bounds', { tensors: [{ ...ONE, dims: [2 ** 40, 2 ** 40] }] }, 'found [1099511627776'],
    ['more values than bytes', { tensors: [{ ...ONE, dims: [2, 3000] }] }, 'x: truncated'],
    ['overlapping tensors', { tensors: [ONE, { ...ONE, name: 'y', offset: 0 }] }, 'y: expected it to begin at byte'],
    ['a gap', { tensors: [{ ...ONE, offset: 32 }] }, 'x: expected it to begin at byte'],
    ['an alignment that is none', { metadata: [['general.alignment', u32(24)]] }, 'a power of 2, found 24'],
    ['an alignment of 0', { metadata: [['general.alignment', u32(0)]] }, 'a power of 2, found 0'],
    ['another type of alignment', { metadata: [['general.alignment', text('32')]] }, 'general.alignment', 'found "32"'],
    ['a flag that is neither', { metadata: [['k', { type: 'BOOL', value: 2 }]] }, 'k: expected true or false'],
  ] as [string, GgufParts, ...string[]][])('%s', async (_, parts, ...words) => {
    await refused(parts, 'x.gguf', ...words);
  });

  it('lists that are longer than the file', async () => {
    const bytes = ggufBytes({ metadata: [['k', texts(['a'])]] });
    bytes.writeBigUInt64LE(2n ** 40n, 24 + 9 + 8); // behind the counts, the key, and the two types
    await expectFailure(() => headerOf(bytes), 'k: expected at most', 'texts');
  });

  it('a text that is not UTF-8 is refused where it is asked for', async () => {
    const bytes = ggufBytes({ metadata: [['k', text('aäb')]] });
    bytes[bytes.indexOf(0xc3)] = 0xff;
    const { metadata } = await headerOf(bytes);
    await expectFailure(() => metadata.text('k'), 'k: expected a text in UTF-8');
  });

  it('a value of another type is named', async () => {
    const { metadata } = await headerOf(
      ggufBytes({
        metadata: [
          ['k', texts(['a'])],
          ['n', { type: 'INT32', value: -1 }],
        ],
      }),
    );
    await expectFailure(() => metadata.count('k'), 'k: expected a whole number from 0, found ["a"]');
    await expectFailure(() => metadata.numbers('k'), 'k: expected a list of numbers');
    await expectFailure(() => metadata.count('n'), 'n: expected a whole number from 0, found -1');
    await expectFailure(() => metadata.flag('n'), 'n: expected true or false, found -1');
  });
});
