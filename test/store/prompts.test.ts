// Saved prompts: the longest stored beginning is found, everything else is a miss, and nothing is ever wrong.

import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { KvRows } from '../../src/engine/kv-rows.js';
import { crc32 } from '../../src/files/crc32.js';
import { bytesIn, evict } from '../../src/store/eviction.js';
import { listPrompts } from '../../src/store/list.js';
import { BLOCK_IDS, type PartName, parseName, partNames } from '../../src/store/names.js';
import { FORMAT } from '../../src/store/part.js';
import { type Found, PromptStore, type PromptStoreOptions } from '../../src/store/prompts.js';
import { StoreFolder } from '../../src/store/store-folder.js';
import { tempDirs } from '../support/temp-dir.js';
import { computed, SHAPE, wrongWith } from './computed.js';

const newDir = tempDirs();
const A = 'a'.repeat(64);
const B = 'b'.repeat(64);
const OF = { fingerprint: A, dtype: 'float32' } as const;
const DAY = 24 * 60 * 60 * 1000;
const UNBOUND = { maxBytes: Number.MAX_SAFE_INTEGER, maxAgeMs: 30 * DAY };
const range = (length: number, from = 0) => Array.from({ length }, (_, i) => from + i);

function open(path: string, options: Partial<PromptStoreOptions> = {}) {
  const folder = new StoreFolder(path);
  const notes: string[] = [];
  const onNote = (line: string) => notes.push(line);
  const defaults = { folder, write: true, limits: UNBOUND, ...OF, shape: SHAPE, model: 'm', onNote };
  return { store: new PromptStore({ ...defaults, ...options }), folder, notes };
}

function expectRight(ids: readonly number[], found: Found): Found {
  expect(wrongWith(ids, found)).toBeUndefined();
  return found;
}

const parts = (folder: string): PartName[] => readdirSync(folder).flatMap((file) => parseName(file) ?? []);

afterEach(() => {
  vi.useRealTimers();
});

describe('look-up', () => {
  it('finds nothing in an empty store, and says so', () => {
    const found = open(newDir()).store.find([1, 2, 3]);
    expect(found).toMatchObject({ reused: 0, logits: null, missReason: 'nothing is stored yet', last: null });
    expect(open('/nonexistent').store.find([1]).reused).toBe(0);
  });

  it.each([1, 2, 31, 32, 33, 64, 70, 100])('a prompt of %i ids comes back whole, with its logits', (length) => {
    const { store, notes } = open(newDir());
    const ids = range(length, 5);
    store.keep(computed(ids));
    const found = expectRight(ids, store.find(ids));
    expect(found).toMatchObject({ reused: length, missReason: null, firstDifference: null });
    expect(found.logits).not.toBeNull();
    expect(found.prefillMs).toBeCloseTo(length, 2);
    expect(notes).toEqual([]);
  });

  it('a prompt that goes on reuses all of the stored one; one that ends earlier runs its last id', () => {
    const { store } = open(newDir());
    store.keep(computed(range(70)));
    const longer = range(90);
    expect(expectRight(longer, store.find(longer))).toMatchObject({ reused: 70, firstDifference: null });
    for (const length of [1, 2, 40, 64, 69]) {
      const shorter = range(length);
      expect(expectRight(shorter, store.find(shorter))).toMatchObject({ reused: length - 1, logits: null });
    }
  });

  it('says where it parts from the nearest stored prompt', () => {
    const { store } = open(newDir());
    store.keep(computed(range(70)));
    store.keep(computed([...range(20), 7, 7, 7]));
    const ids = [...range(50), 999, ...range(10)];
    const found = expectRight(ids, store.find(ids));
    expect(found).toMatchObject({ reused: 50, firstDifference: { index: 50, stored: 50, new: 999 } });
    const other = store.find([300, 1]);
    expect(other).toMatchObject({ reused: 0, missReason: 'no stored prompt begins like this one' });
    expect(other.firstDifference).toEqual({ index: 0, stored: 0, new: 300 });
  });

  it('compares ids, since names hold their low bytes only', () => {
    const { store } = open(newDir());
    store.keep(computed([1, 2, 3, 4]));
    const ids = [1, 2, 3 + 256, 4];
    expect(expectRight(ids, store.find(ids))).toMatchObject({
      reused: 2,
      firstDifference: { index: 2, stored: 3, new: 259 },
    });
  });

  it('knows nothing of another model', () => {
    const folder = newDir();
    open(folder).store.keep(computed(range(40)));
    const found = open(folder, { fingerprint: B }).store.find(range(40));
    expect(found).toMatchObject({
      reused: 0,
      missReason: 'nothing is stored for these weights, config and tokenizer in float32',
      firstDifference: null,
    });
  });

  it('does not take a file of another model, or of another prompt, for what its name says', () => {
    const folder = newDir();
    const wrongs = [open(folder, { fingerprint: B }).store, open(folder).store];
    wrongs[0]?.keep(computed([9, 9, 9]));
    const foreign = readdirSync(folder)[0] as string;
    const name = (partNames(OF, [9, 9, 9])[0] as PartName).file;
    renameSync(join(folder, foreign), join(folder, name));
    const { store, notes } = open(folder);
    expect(store.find([9, 9, 9])).toMatchObject({ reused: 0, missReason: 'the stored file is damaged or gone' });
    expect(notes.join()).toContain('it is not what its name says: of another model; removed');
    store.keep(computed([1, 1, 1]));
    renameSync(join(folder, (partNames(OF, [1, 1, 1])[0] as PartName).file), join(folder, name));
    expect(store.find([9, 9, 9]).reused).toBe(0);
  });

  it('stores a common beginning once', () => {
    const [one, ten] = [newDir(), newDir()];
    open(one).store.keep(computed(range(900)));
    for (const i of range(10)) {
      open(ten).store.keep(computed([...range(800), ...range(100, 1000 * (i + 1))]));
    }
    expect(bytesIn(new StoreFolder(ten))).toBeLessThan(0.3 * 10 * bytesIn(new StoreFolder(one)));
  });

  it('property: reused and computed make up the prompt, the longest beginning is reused, nothing is wrong', () => {
    const prompt = fc
      .tuple(
        fc.integer({ min: 0, max: 110 }),
        fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 40 }),
      )
      .map(([shared, own]) => [...range(shared), ...own]);
    fc.assert(
      fc.property(fc.array(prompt, { minLength: 1, maxLength: 8 }), prompt, (stored, ids) => {
        const folder = newDir();
        const { store, notes } = open(folder);
        for (const one of stored) {
          store.keep(computed(one));
        }
        const found = expectRight(ids, store.find(ids));
        const exact = stored.some((one) => one.join() === ids.join());
        const common = stored
          .map((one) => one.findIndex((id, i) => id !== ids[i]))
          .map((n, i) => (n < 0 ? (stored[i]?.length ?? 0) : n));
        const longest = Math.min(Math.max(...common), ids.length - (exact ? 0 : 1));
        expect(found.reused).toBe(longest);
        expect(notes).toEqual([]);
        rmSync(folder, { recursive: true });
      }),
      { numRuns: 60, seed: 1 },
    );
  });
});

describe('a text, which is a prompt with what was generated behind it', () => {
  const text = (ids: readonly number[]) => ({ ...computed(ids), logits: null });

  it.each([33, 64, 70, 100])('of %i ids is the beginning of what goes on from it', (length) => {
    const folder = newDir();
    const { store, notes } = open(folder);
    expect(store.keep(computed(range(20)))).toBe(20);
    expect(store.keep(text(range(length)))).toBe(length);
    expect(store.keep(text(range(length)))).toBe(0);
    const longer = range(length + 30);
    expect(expectRight(longer, store.find(longer))).toMatchObject({ reused: length, logits: null, missReason: null });
    const prompt = expectRight(range(20), store.find(range(20)));
    expect(prompt).toMatchObject({ reused: 20, logits: expect.any(Float32Array) });
    expect(notes).toEqual([]);
    const listed = listPrompts(new StoreFolder(folder)).toSorted((a, b) => b.tokens - a.tokens); // used at one time, or not
    expect(listed.map(({ kind, tokens, words }) => [kind, tokens, words])).toEqual([
      ['text', length, '0 1 2 3'],
      ['prompt', 20, '0 1 2 3'],
    ]);
  });

  it('has no logits, so a prompt of the same ids runs its last one, and is then kept with them', () => {
    for (const length of [40, 64]) {
      const { store } = open(newDir());
      const ids = range(length);
      store.keep(text(ids));
      expect(expectRight(ids, store.find(ids))).toMatchObject({ reused: length - 1, logits: null });
      expect(store.keep(computed(ids))).toBe(length % BLOCK_IDS);
      expect(expectRight(ids, store.find(ids))).toMatchObject({ reused: length, logits: expect.any(Float32Array) });
      expect(store.keep(text(ids))).toBe(0);
      expect(expectRight(ids, store.find(ids)).reused).toBe(length);
    }
  });

  it('whose prompt is gone is still a beginning', () => {
    const folder = newDir();
    const { store } = open(folder);
    store.keep(computed(range(40)));
    store.keep(text(range(50)));
    const end = parts(folder).find(({ kind }) => kind === 'end') as PartName;
    rmSync(join(folder, end.file));
    expect(expectRight(range(60), store.find(range(60))).reused).toBe(50);
    expect(expectRight(range(40), store.find(range(40))).reused).toBe(39);
  });
});

describe('float16', () => {
  const HALF = { fingerprint: A, dtype: 'float16' } as const;
  const numbers = (found: Found) => found.rows.layers.flatMap(({ k, v }) => [...k, ...v]);

  /** A prompt of these ids whose keys and values are all one number. */
  function keepAll(folder: string, ids: readonly number[], number: number, of: Partial<PromptStoreOptions> = HALF) {
    const { store, notes } = open(folder, of);
    const { rowsFrom, ...rest } = computed(ids);
    const filled = (rows: KvRows) => rows.layers.map(({ k, v }) => ({ k: k.fill(number), v: v.fill(number) }));
    store.keep({ ...rest, rowsFrom: (from) => ({ ...rowsFrom(from), layers: filled(rowsFrom(from)) }) });
    return notes;
  }

  it('takes half, and gives keys and values back as their nearest float16, the logits as they were', () => {
    const [half, whole] = [newDir(), newDir()];
    const ids = range(70);
    keepAll(half, ids, 1 / 3);
    keepAll(whole, ids, 1 / 3, OF);
    const found = open(half, HALF).store.find(ids);
    expect(found.reused).toBe(70);
    expect(new Set(numbers(found))).toEqual(new Set([0.333251953125]));
    expect(found.logits).toEqual(computed(ids).logits);
    const block = (folder: string) => statSync(join(folder, parts(folder)[0]?.file as string)).size;
    const numbersInBlock = SHAPE.nLayer * 2 * SHAPE.nKvHead * 32 * SHAPE.headDim;
    expect(block(whole) - block(half)).toBeGreaterThan(1.9 * numbersInBlock);
  });

  it('and float32 know nothing of each other', () => {
    const folder = newDir();
    keepAll(folder, range(40), 0.5);
    const { store } = open(folder, OF);
    expect(store.find(range(40))).toMatchObject({
      reused: 0,
      missReason: 'nothing is stored for these weights, config and tokenizer in float32',
    });
    store.keep(computed(range(40)));
    expect(expectRight(range(40), store.find(range(40))).reused).toBe(40);
    expect(new Set(numbers(open(folder, HALF).store.find(range(40))))).toEqual(new Set([0.5]));
  });

  it('a part with a number that it cannot hold stays float32, and the others are float16', () => {
    const folder = newDir();
    const ids = range(70);
    const { rowsFrom, ...rest } = computed(ids);
    const large = (rows: KvRows) => rows.layers[1]?.v.set([70_000], 40 * SHAPE.headDim);
    const changed = (from: number) => {
      const rows = rowsFrom(from);
      large(rows);
      return rows;
    };
    open(folder, HALF).store.keep({ ...rest, rowsFrom: changed });
    const sizes = parts(folder)
      .sort((a, b) => a.index - b.index)
      .map(({ file }) => statSync(join(folder, file)).size);
    expect((sizes[1] as number) - (sizes[0] as number)).toBeGreaterThan(1000);
    const found = open(folder, HALF).store.find(ids);
    expect(found.reused).toBe(70);
    expect(found.rows.layers[1]?.v[40 * SHAPE.headDim]).toBe(70_000);
  });

  it.each([
    ['float16', Number.NaN],
    ['float16', Number.POSITIVE_INFINITY],
    ['float32', Number.NaN],
    ['float32', Number.NEGATIVE_INFINITY],
  ] as const)('%s: %d is not kept, and one line says so', (dtype, number) => {
    const folder = newDir();
    const notes = keepAll(folder, range(5), number, { fingerprint: A, dtype });
    expect(readdirSync(folder)).toEqual([]);
    expect(notes).toEqual([expect.stringContaining('h.0.k has values that are no finite numbers')]);
  });
});

describe('damage', () => {
  const ids = [3, 1, 4];

  function stored() {
    const folder = newDir();
    open(folder).store.keep(computed(ids));
    const path = join(folder, readdirSync(folder)[0] as string);
    return { folder, path, bytes: readFileSync(path) };
  }

  it('each byte flipped in turn is a miss with one line, and is removed', () => {
    const { folder, path, bytes } = stored();
    for (let at = 0; at < bytes.length; at++) {
      const flipped = Buffer.from(bytes);
      flipped[at] = (flipped[at] as number) ^ (1 << (at % 8));
      writeFileSync(path, flipped);
      const { store, notes } = open(folder);
      expect(store.find(ids), `byte ${at}`).toMatchObject({ reused: 0, logits: null });
      expect(notes, `byte ${at}`).toHaveLength(1);
      expect(existsSync(path)).toBe(false);
    }
  });

  it('each length of truncation is a miss, and so is a file that goes on', () => {
    const { folder, path, bytes } = stored();
    for (let length = 0; length < bytes.length; length++) {
      writeFileSync(path, bytes.subarray(0, length));
      expect(open(folder).store.find(ids), `${length} bytes`).toMatchObject({ reused: 0, logits: null });
      expect(existsSync(path)).toBe(false);
    }
    writeFileSync(path, Buffer.concat([bytes, Buffer.from([0])]));
    expect(open(folder).store.find(ids).reused).toBe(0);
  });

  it('a whole file in a format of another version is a miss, and is removed', () => {
    const { folder, path, bytes } = stored();
    const other = Buffer.from(bytes.toString('latin1').replace(FORMAT, 'kvgen-prompt-0'), 'latin1');
    const at = other.indexOf('"crc32":"') + 9;
    const sum = crc32(other.subarray(at + 8), crc32(other.subarray(0, at)));
    other.write(sum.toString(16).padStart(8, '0'), at);
    writeFileSync(path, other);
    const { store, notes } = open(folder);
    expect(store.find(ids).reused).toBe(0);
    expect(notes).toEqual([expect.stringContaining('expected format kvgen-prompt-2, found "kvgen-prompt-0"; removed')]);
  });

  it('in the middle of a chain: what is before it is used, and it is stored anew', () => {
    const folder = newDir();
    const long = range(100);
    open(folder).store.keep(computed(long));
    const middle = parts(folder).find(({ index }) => index === 1) as PartName;
    writeFileSync(join(folder, middle.file), 'x');
    const { store } = open(folder);
    expect(expectRight(long, store.find(long)).reused).toBe(32);
    store.keep(computed(long));
    expect(expectRight(long, store.find(long)).reused).toBe(100);
  });

  it('--no-write-cache removes and changes nothing', () => {
    const { folder, path } = stored();
    writeFileSync(path, 'x');
    const before = statSync(path).mtimeMs;
    const { store, notes } = open(folder, { write: false });
    store.find(ids);
    store.keep(computed([5, 5]));
    expect(notes.join()).not.toContain('removed');
    expect([readdirSync(folder).length, statSync(path).mtimeMs]).toEqual([1, before]);
  });

  it('follows no link, and waits for no pipe', () => {
    const { folder, path } = stored();
    const aside = join(newDir(), 'aside');
    renameSync(path, aside);
    symlinkSync(aside, path);
    expect(open(folder).store.find(ids).reused).toBe(0);
    expect(existsSync(aside)).toBe(true);
    rmSync(path);
    if (spawnSync('mkfifo', [path]).status === 0) {
      expect(open(folder).store.find(ids).reused).toBe(0);
    }
  });
});

describe('room', () => {
  const size = (folder: string) => bytesIn(new StoreFolder(folder));

  it('removes the least recently used, from the end of a chain', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 1, max: 100 }), fc.nat(1000)), {
          minLength: 1,
          maxLength: 8,
        }),
        fc.nat(100),
        (prompts, percent) => {
          const folder = newDir();
          for (const [shared, own, seconds] of prompts) {
            const before = new Set(readdirSync(folder));
            open(folder).store.keep(computed([...range(16 * shared), ...range(own, 500)]));
            for (const file of readdirSync(folder).filter((file) => !before.has(file))) {
              utimesSync(join(folder, file), 1e9 + seconds, 1e9 + seconds);
            }
          }
          const maxBytes = Math.floor((size(folder) * percent) / 100);
          evict(new StoreFolder(folder), { maxBytes, maxAgeMs: 1e15 });
          expect(size(folder)).toBeLessThanOrEqual(maxBytes);
          const hashes = new Set(parts(folder).map(({ hash }) => hash));
          expect(parts(folder).filter(({ index, parent }) => index > 0 && !hashes.has(parent))).toEqual([]);
          rmSync(folder, { recursive: true });
        },
      ),
      { numRuns: 40, seed: 2 },
    );
  });

  it('a prompt that was used lately stays, an older one goes', () => {
    const folder = newDir();
    const { store } = open(folder);
    store.keep(computed([1, 1]));
    store.keep(computed([2, 2]));
    for (const { file } of parts(folder)) {
      utimesSync(join(folder, file), 1e9, 1e9);
    }
    store.find([1, 1]);
    evict(new StoreFolder(folder), { maxBytes: size(folder) - 1, maxAgeMs: 1e15 });
    expect([store.find([1, 1]).reused, store.find([2, 2]).reused]).toEqual([2, 0]);
  });

  it('what is too old goes; a clock that goes backwards removes nothing', () => {
    const folder = newDir();
    const { store } = open(folder);
    store.keep(computed(range(40)));
    evict(new StoreFolder(folder), UNBOUND, Date.now() - 400 * DAY);
    expect(store.find(range(40)).reused).toBe(40);
    vi.useFakeTimers({ now: Date.now() - 400 * DAY, toFake: ['Date'] });
    store.keep(computed([7, 7]));
    expect([store.find(range(40)).reused, store.find([7, 7]).reused]).toEqual([40, 2]);
    vi.useRealTimers();
    evict(new StoreFolder(folder), UNBOUND, Date.now() + 31 * DAY);
    expect(parts(folder)).toEqual([]);
  });

  it('is made after each write, and the folder looked at only when it may be too full, or after a while', () => {
    vi.useFakeTimers({ now: Date.now(), toFake: ['Date'] });
    const path = newDir();
    const size = (() => {
      open(path).store.keep(computed(range(5)));
      return bytesIn(new StoreFolder(path));
    })();
    const { store, folder } = open(path, { limits: { maxBytes: 3.5 * size, maxAgeMs: 30 * DAY } });
    const files = vi.spyOn(folder, 'files');
    const keep = (i: number) => {
      vi.setSystemTime(Date.now() + 1000);
      store.keep(computed(range(5, 100 * i)));
      return [parts(path).length, files.mock.calls.length];
    };
    expect([1, 2, 3, 4].map(keep)).toEqual([
      [2, 1],
      [3, 1],
      [3, 2],
      [3, 3],
    ]);
    vi.setSystemTime(Date.now() + 31_000);
    open(path, { limits: UNBOUND }).store.keep(computed(range(5, 1000))); // another process
    rmSync(join(path, parts(path)[0]?.file as string));
    expect(keep(5)).toEqual([3, 4]);
  });

  it('is some more where files have not been used for an hour', () => {
    const path = newDir();
    for (let i = 0; i < 40; i++) {
      open(path).store.keep(computed(range(5, 100 * i)));
    }
    const bytes = bytesIn(new StoreFolder(path));
    const old = Date.now() - 2 * 60 * 60 * 1000;
    expect(evict(new StoreFolder(path), { maxBytes: bytes - 1, maxAgeMs: 30 * DAY })).toMatchObject({ files: 1 });
    for (const { file } of parts(path)) {
      utimesSync(join(path, file), old / 1000, old / 1000);
    }
    expect(evict(new StoreFolder(path), { maxBytes: bytes, maxAgeMs: 30 * DAY })).toMatchObject({ files: 0 });
    expect(evict(new StoreFolder(path), { maxBytes: bytes - bytes / 40 - 1, maxAgeMs: 30 * DAY })).toMatchObject({
      files: 2,
    });
  });

  it('a prompt larger than the bound is not kept, and one line says so', () => {
    const folder = newDir();
    const { store, notes } = open(folder, { limits: { ...UNBOUND, maxBytes: 1000 } });
    store.keep(computed(range(100)));
    expect(readdirSync(folder)).toEqual([]);
    expect(notes).toEqual([expect.stringContaining('more than KVGEN_CACHE_MAX_BYTES=1000')]);
  });

  it('sweeps up after killed writers and lost parents, and touches nothing else', () => {
    const folder = newDir();
    const { store } = open(folder);
    store.keep(computed(range(70)));
    const mine = ['notes.txt', 'block-0000.safetensors', '.tmp-1-short'];
    const lost = ['.tmp-77-0123456789abcdef', `${'0'.repeat(32)}.uses`];
    for (const file of [...mine, ...lost]) {
      writeFileSync(join(folder, file), 'x');
    }
    mkdirSync(join(folder, `${'1'.repeat(32)}.uses`));
    rmSync(join(folder, (parts(folder).find(({ index }) => index === 0) as PartName).file));
    for (const file of readdirSync(folder)) {
      utimesSync(join(folder, file), Date.now() / 1000 - 7200, Date.now() / 1000 - 7200);
    }
    evict(new StoreFolder(folder), UNBOUND);
    evict(new StoreFolder(folder), UNBOUND);
    expect(readdirSync(folder).sort()).toEqual([`${'1'.repeat(32)}.uses`, ...mine].sort());
  });
});

describe('where nothing can be written', () => {
  const asNobody = (run: () => void) => {
    const root = process.geteuid?.() === 0;
    if (root) {
      process.seteuid?.(65534);
    }
    try {
      run();
    } finally {
      if (root) {
        process.seteuid?.(0);
      }
    }
  };

  it('a read-only directory is read, and one line says that nothing is kept', () => {
    const folder = newDir();
    open(folder).store.keep(computed([1, 2]));
    const before = readdirSync(folder);
    for (const file of before) {
      chmodSync(join(folder, file), 0o444);
    }
    chmodSync(folder, 0o555);
    try {
      asNobody(() => {
        const { store, notes } = open(folder);
        expect(store.find([1, 2]).reused).toBe(2);
        store.keep(computed([3, 4]));
        expect(notes).toEqual([expect.stringContaining('the prompt is not kept')]);
      });
    } finally {
      chmodSync(folder, 0o755);
    }
    expect(readdirSync(folder)).toEqual(before);
  });

  const WORKER = fileURLToPath(new URL('worker.js', import.meta.url));
  // A file system of 64 kB in a namespace of its own, which is gone with the shell.
  const script = 'mount -t tmpfs -o size=64k tmpfs "$1" && "$2" "$3" "$1" 5 40; code=$?; ls -A "$1"; exit $code';
  const full = (folder: string) =>
    spawnSync('unshare', ['-rm', 'sh', '-c', script, 'sh', folder, process.execPath, WORKER], { encoding: 'utf8' });
  const canMount = spawnSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0;

  it.skipIf(!canMount)('a full disk: not kept, never wrong, nothing half-written', () => {
    const { status, stdout, stderr } = full(newDir());
    expect(status).toBe(0);
    expect(stderr).toMatch(/the prompt is not kept: .*ENOSPC/);
    expect(stdout).not.toContain('.tmp-');
  });

  it('a file that may not grow, as on a full disk: not kept, nothing half-written', () => {
    const folder = newDir();
    const limited = 'trap "" XFSZ; ulimit -f 4; exec "$@"'; // 4 blocks of 512 bytes or of 1 kB
    const { status, stderr } = spawnSync('sh', ['-c', limited, 'sh', process.execPath, WORKER, folder, '5', '40'], {
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([0, expect.stringContaining('EFBIG')]);
    expect(readdirSync(folder).filter((file) => file.startsWith('.tmp-'))).toEqual([]);
  });
});

it('BLOCK_IDS is what the files have', () => {
  const names = partNames(OF, range(70));
  expect(names.map(({ kind, sketch }) => [kind, sketch.length / 2])).toEqual([
    ['block', BLOCK_IDS],
    ['block', 32],
    ['end', 6],
  ]);
});
