// Files under each other's names: whatever is copied, renamed or linked within a store, no look-up is ever wrong.

import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { crc32 } from '../../src/files/crc32.js';
import { clear, evict } from '../../src/store/eviction.js';
import { listPrompts } from '../../src/store/list.js';
import { type PartName, type PromptsOf, parseName, partNames } from '../../src/store/names.js';
import { encodePart, type PartShape } from '../../src/store/part.js';
import { type Found, PromptStore } from '../../src/store/prompts.js';
import { StoreFolder } from '../../src/store/store-folder.js';
import { readUses, recordUse, usesFile } from '../../src/store/uses.js';
import { narrowFloat16, widenFloat16 } from '../../src/weights/float16.js';
import { tempDirs } from '../support/temp-dir.js';
import { computed, SHAPE, wrongWith } from './computed.js';

const newDir = tempDirs();
const range = (length: number, from = 0) => Array.from({ length }, (_, i) => from + i);
const limits = { maxBytes: 1e9, maxAgeMs: 1e12 };
const [A, B] = ['a'.repeat(64), 'b'.repeat(64)];
/** Two models, and one of them in two forms. */
const STORES: readonly PromptsOf[] = [
  { fingerprint: A, dtype: 'float32' },
  { fingerprint: A, dtype: 'float16' },
  { fingerprint: B, dtype: 'float32' },
];

/** Prompts whose blocks and ends have the same ids behind different beginnings, and some that end with a block. */
const PROMPTS = [
  [...range(32, 500), ...range(32, 32)],
  [...range(32, 500), ...range(68, 32)],
  [...range(32, 900), ...range(68, 32)],
  [...range(32), ...range(32)],
  [...range(96)],
  range(5),
  [...range(32, 500), ...range(5)],
];

interface Asked {
  readonly of: PromptsOf;
  readonly ids: readonly number[];
  readonly files: readonly string[];
}

function open(path: string, of: PromptsOf, write = true, shape: PartShape = SHAPE) {
  const notes: string[] = [];
  const onNote = (line: string) => notes.push(line);
  const folder = new StoreFolder(path);
  return { store: new PromptStore({ folder, write, limits, ...of, shape, model: 'm', onNote }), notes };
}

/** All prompts with both models, and beside their files what else a store has. */
function filled(): { folder: string; asked: Asked[]; files: string[] } {
  const folder = newDir();
  const asked = STORES.flatMap((of) =>
    PROMPTS.map((ids) => ({ of, ids, files: partNames(of, ids).map(({ file }) => file) })),
  );
  for (const { of, ids } of asked) {
    open(folder, of).store.keep(computed(ids));
  }
  recordUse(new StoreFolder(folder), 'c'.repeat(32), 1);
  writeFileSync(join(folder, `${'d'.repeat(32)}.model`), 'x'.repeat(72));
  writeFileSync(join(folder, '.tmp-1-0123456789abcdef'), 'half a file');
  return { folder, asked, files: readdirSync(folder) };
}

/** What is wrong with what was found. */
function wrong({ of, ids }: Asked, found: Found): string | undefined {
  return wrongWith(ids, found, of.dtype === 'float16' ? rounded : undefined);
}

function rounded(values: Float32Array): Float32Array {
  const halves = new Uint16Array(values.length);
  const wide = new Float32Array(values.length);
  expect(narrowFloat16(values, halves)).toBe(true);
  widenFloat16(halves, wide);
  return wide;
}

/** Looks up all prompts that have one of the files, which are not what their names say. */
function expectNothingWrong(folder: string, asked: readonly Asked[], bad: readonly string[]): void {
  for (const one of asked) {
    const at = one.files.findIndex((file) => bad.includes(file));
    if (at >= 0) {
      const { store, notes } = open(folder, one.of, false);
      const found = store.find(one.ids);
      expect(wrong(one, found)).toBeUndefined();
      expect(found.reused).toBeLessThanOrEqual(32 * at);
      expect(notes).toHaveLength(1);
    }
  }
}

describe('files of a store', () => {
  it('any two swapped: never a wrong look-up, and one line', () => {
    const { folder, asked, files } = filled();
    expect(files.length).toBeGreaterThanOrEqual(40);
    const aside = join(newDir(), 'aside');
    for (const [i, a] of files.entries()) {
      for (const b of files.slice(0, i)) {
        const [left, right] = [join(folder, a), join(folder, b)];
        const swap = () => {
          renameSync(left, aside);
          renameSync(right, left);
          renameSync(aside, right);
        };
        swap();
        expectNothingWrong(folder, asked, [a, b]);
        swap();
      }
    }
    for (const { of, ids } of asked) {
      expect(open(folder, of).store.find(ids).reused).toBe(ids.length);
    }
  }, 60_000);

  it('any one copied or linked under another’s name is removed, and stored anew by the next run', () => {
    const { folder, asked, files } = filled();
    const kept = newDir();
    for (const file of files) {
      copyFileSync(join(folder, file), join(kept, file));
    }
    for (const [i, one] of asked.entries()) {
      for (const [j, file] of one.files.entries()) {
        const other = files[(7 * i + j) % files.length] as string;
        if (other !== file) {
          rmSync(join(folder, file));
          linkSync(join(kept, other), join(folder, file));
          const { store } = open(folder, one.of);
          expect(wrong(one, store.find(one.ids))).toBeUndefined();
          expect(existsSync(join(folder, file))).toBe(false);
          store.keep(computed(one.ids));
          expect(store.find(one.ids).reused).toBe(one.ids.length);
        }
      }
    }
  });

  it('a part under a name of another place of the same prompt', () => {
    const { folder } = filled();
    const of = STORES[0] as PromptsOf;
    const ids = range(96);
    const [first, second] = partNames(of, ids) as [PartName, PartName];
    const wrong = second.file.replace('block-0001', 'block-0000').replace(second.parent, first.parent);
    rmSync(join(folder, first.file));
    renameSync(join(folder, second.file), join(folder, wrong));
    const asked = [...range(40, 32)];
    const { store, notes } = open(folder, of);
    expect(store.find(asked)).toMatchObject({ reused: 0, missReason: 'the stored file is damaged or gone' });
    expect(notes).toEqual([expect.stringContaining('it is not what its name says: block 1 of other ids; removed')]);
  });
});

describe('a whole file', () => {
  const ids = range(5, 40);
  const of = STORES[0] as PromptsOf;

  function stored() {
    const folder = newDir();
    open(folder, of).store.keep(computed(ids));
    return { folder, path: join(folder, readdirSync(folder)[0] as string) };
  }

  /** Changes the header and puts the right length and checksum into it. */
  function rewrite(path: string, change: (header: string) => string): void {
    const bytes = readFileSync(path);
    const length = Number(bytes.readBigUInt64LE(0));
    const changed = Buffer.from(change(bytes.subarray(8, 8 + length).toString('latin1')), 'latin1');
    const head = Buffer.alloc(8);
    head.writeBigUInt64LE(BigInt(changed.length));
    const all = Buffer.concat([head, changed, bytes.subarray(8 + length)]);
    const at = all.indexOf('"crc32":"') + 9;
    all.write(
      crc32(all.subarray(at + 8), crc32(all.subarray(0, at)))
        .toString(16)
        .padStart(8, '0'),
      at,
    );
    writeFileSync(path, all);
  }

  it('that is written again as it was is found', () => {
    const { folder, path } = stored();
    rewrite(path, (header) => header);
    expect(open(folder, of).store.find(ids).reused).toBe(5);
  });

  it.each([
    ['offsets that lie', (header: string) => header.replace('"data_offsets":[0,20]', '"data_offsets":[4,24]')],
    ['offsets behind the end', (header: string) => header.replace('[0,20]', '[0,2147483640]')],
    ['a key that is there twice', (header: string) => header.replace('"ids":', '"ids":{},"ids":')],
    ['an array more', (header: string) => header.replace('"ids":', '"more":{},"ids":')],
    ['another shape', (header: string) => header.replace('"shape":[2,5,3]', '"shape":[3,5,2]')],
    ['another dtype', (header: string) => header.replace('"F32"', '"I32"')],
    ['a text where an object is', (header: string) => header.replace(/\{"crc32":"/, '"').replace(/"\}/, '"')],
    ['times that are none', (header: string) => header.replace(/"prefill_ms":"[^"]+"/, '"prefill_ms":"NaN"')],
    ['another index', (header: string) => header.replace('"index":"0"', '"index":"1"')],
    ['another parent', (header: string) => header.replace(/"parent":"./, '"parent":"x')],
    ['another kind', (header: string) => header.replace('"kind":"end"', '"kind":"block"')],
    ['half a header', (header: string) => header.slice(0, header.length / 2)],
    ['spaces behind the header', (header: string) => `${header}        `],
  ])('with %s: none, one line, removed', (_, change) => {
    const { folder, path } = stored();
    rewrite(path, change);
    const { store, notes } = open(folder, of);
    expect(store.find(ids)).toMatchObject({ reused: 0, logits: null });
    expect([notes.length, existsSync(path)]).toEqual([1, false]);
  });

  it.each(['nLayer', 'nKvHead', 'headDim', 'vocabSize'] as const)('of a model with another %s: none', (size) => {
    const { folder } = stored();
    const { store } = open(folder, of, true, { ...SHAPE, [size]: SHAPE[size] + 1 });
    expect(store.find(ids)).toMatchObject({ reused: 0, logits: null });
  });

  it.each(['float16', 'float32'] as const)(
    'in float16 where float32 is asked for, whatever it calls itself (%s): none',
    (dtype) => {
      const { folder } = stored();
      const name = parseName(readdirSync(folder)[0] as string) as PartName;
      const { logits, rowsFrom } = computed(ids);
      const meta = { fingerprint: A, model: 'm', created: '', prefillMs: 1, words: '' };
      const half = encodePart(
        { place: name, ids, rows: rowsFrom(0), logits, meta: { ...meta, dtype: 'float16' } },
        SHAPE,
      );
      writeFileSync(join(folder, name.file), half);
      rewrite(join(folder, name.file), (header) => header.replace('"dtype":"float16"', `"dtype":"${dtype}"`));
      const { store, notes } = open(folder, of);
      expect(store.find(ids).reused).toBe(0);
      expect(notes).toEqual([expect.stringContaining('keys and values are not float32; removed')]);
    },
  );

  it('of ids that are not those of its name: none', () => {
    const { folder, path } = stored();
    const bytes = readFileSync(path);
    bytes.writeInt32LE(40 + 256, 8 + Number(bytes.readBigUInt64LE(0))); // the same low byte
    writeFileSync(path, bytes);
    rewrite(path, (header) => header);
    const { store, notes } = open(folder, of);
    expect(store.find(ids).reused).toBe(0);
    expect(notes).toEqual([expect.stringContaining('it is not what its name says: other ids; removed')]);
  });

  it('of ten gigabytes is not read', () => {
    const { folder, path } = stored();
    truncateSync(path, 1e10);
    const before = process.memoryUsage().arrayBuffers;
    expect(open(folder, of).store.find(ids).reused).toBe(0);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1e6);
    expect(existsSync(path)).toBe(false);
  });
});

describe('what is no regular file', () => {
  const ids = range(40);
  const of = STORES[0] as PromptsOf;
  const kinds: [string, (path: string) => void][] = [
    ['a pipe', (path) => spawnSync('mkfifo', [path])],
    ['a directory', (path) => mkdirSync(path)],
    ['a link to itself', (path) => symlinkSync(path, path)],
    ['a link to /dev/zero', (path) => symlinkSync('/dev/zero', path)],
  ];

  it.each(kinds)('%s is neither waited for, nor followed, nor removed, wherever it stands', (_, make) => {
    const folder = newDir();
    const { store, notes } = open(folder, of);
    store.keep(computed(ids));
    const files = readdirSync(folder);
    const found = store.find(ids);
    const beside = [usesFile(found.last as string), `${'e'.repeat(32)}.model`, '.tmp-1-0123456789abcdef'];
    for (const file of beside) {
      make(join(folder, file));
    }
    store.used(found, ids.length, 5);
    expect(readUses(new StoreFolder(folder), found.last as string)).toEqual({ hits: 0, savedMs: 0 });
    for (const file of files) {
      rmSync(join(folder, file));
      make(join(folder, file));
    }
    expect(store.find(ids)).toMatchObject({ reused: 0, missReason: 'the stored file is damaged or gone' });
    expect(notes).toEqual([expect.stringMatching(/block-0000.*: no regular file; ignored$/)]);
    expect(listPrompts(new StoreFolder(folder))).toEqual([]);
    evict(new StoreFolder(folder), { maxBytes: 0, maxAgeMs: 0 });
    clear(new StoreFolder(folder));
    expect(readdirSync(folder).sort()).toEqual([...files, ...beside].sort());
  });

  it.each(kinds.filter(([kind]) => kind !== 'a directory'))(
    '%s is replaced by the next file of its name',
    (_, make) => {
      const folder = newDir();
      for (const { file } of partNames(of, ids)) {
        make(join(folder, file));
      }
      const { store } = open(folder, of);
      store.keep(computed(ids));
      expect(store.find(ids).reused).toBe(40);
      expect(readdirSync(folder).every((file) => parseName(file) && statSync(join(folder, file)).isFile())).toBe(true);
    },
  );
});
