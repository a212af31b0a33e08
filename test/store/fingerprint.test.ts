// What a model is: other weights, config or tokenizer are another model; the same ones in another place are not.

import {
  appendFileSync,
  cpSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { crc32, packaged } from '../../src/files/crc32.js';
import { CONFIG } from '../../src/files/file-kinds.js';
import { ModelFolder } from '../../src/files/model-folder.js';
import { fingerprint, fingerprintOf } from '../../src/store/fingerprint.js';
import { StoreFolder } from '../../src/store/store-folder.js';
import { expectFailure } from '../support/errors.js';
import { tempDirs } from '../support/temp-dir.js';

const newDir = tempDirs();
const LATER = 60_000;

/** Two of them are weights of no usual name. */
const OPENED = ['config.json', 'part-a', 'part-b', 'tokenizer.json'];

function model(): string {
  const dir = newDir();
  for (const file of [...OPENED, 'README.md']) {
    writeFileSync(join(dir, file), `contents of ${file}`);
  }
  return dir;
}

/** The folder after these files were opened, or looked for. */
async function opened(dir: string, names: readonly string[] = OPENED): Promise<ModelFolder> {
  const folder = new ModelFolder(dir);
  for (const name of names) {
    await folder.readText(name, CONFIG);
  }
  return folder;
}

/** As if the files had not been touched for a minute. */
function later(): void {
  vi.useFakeTimers({ now: Date.now() + LATER, toFake: ['Date'] });
}

afterEach(() => {
  vi.useRealTimers();
});

async function of(dir: string, store?: string, write = true, names = OPENED): Promise<string> {
  return fingerprint(await opened(dir, names), {
    folder: store === undefined ? undefined : new StoreFolder(store),
    write,
  });
}

describe('a fingerprint', () => {
  it('is that of the contents, wherever they lie', async () => {
    const [dir, copy] = [model(), newDir()];
    cpSync(dir, copy, { recursive: true });
    const first = await of(dir);
    expect(first).toMatch(/^[0-9a-f]{64}$/);
    expect(await of(copy)).toBe(first);
    symlinkSync(join(dir, 'config.json'), join(copy, 'link'));
    renameSync(join(copy, 'link'), join(copy, 'config.json'));
    expect(await of(copy)).toBe(first);
  });

  it.each(OPENED)('is another with another %s', async (file) => {
    const dir = model();
    const before = await of(dir);
    const text = readFileSync(join(dir, file), 'utf8');
    writeFileSync(join(dir, file), text.replace('contents', 'Contents'));
    expect(await of(dir)).not.toBe(before);
  });

  it('is the same with another file that nobody opened', async () => {
    const dir = model();
    const before = await of(dir);
    appendFileSync(join(dir, 'README.md'), '!');
    writeFileSync(join(dir, 'more.safetensors'), 'of another program');
    expect(await of(dir)).toBe(before);
  });

  it('is another once there is what was not there before', async () => {
    const dir = model();
    const before = await of(dir, undefined, true, [...OPENED, 'generation_config.json']);
    expect(before).toBe(await of(dir));
    writeFileSync(join(dir, 'generation_config.json'), '{}');
    expect(await of(dir, undefined, true, [...OPENED, 'generation_config.json'])).not.toBe(before);
  });

  it('is refused when a file has changed since it was opened, come or gone', async () => {
    const changed = async (change: (dir: string) => void, line: string) => {
      const dir = model();
      const folder = await opened(dir, [...OPENED, 'merges.txt']);
      change(dir);
      const work = () => fingerprint(folder, { folder: undefined, write: false });
      expect((await expectFailure(work)).message).toBe(`${join(dir, line)}`);
    };
    const what = 'changed while the model was being loaded; run again';
    await changed((dir) => appendFileSync(join(dir, 'part-b'), '!'), `part-b: ${what}`);
    await changed((dir) => rmSync(join(dir, 'part-b')), `part-b: ${what}`);
    await changed((dir) => writeFileSync(join(dir, 'merges.txt'), ''), `merges.txt: ${what}`);
  });
});

describe('remembered', () => {
  it('once the files have settled; then nothing is hashed', async () => {
    const [dir, folder] = [model(), newDir()];
    const fresh = await of(dir, folder);
    expect(readdirSync(folder)).toEqual([]); // the files are too new: they might change and keep their times
    later();
    expect(await of(dir, folder)).toBe(fresh);
    expect(readdirSync(folder)).toHaveLength(1);
    const onProgress = vi.fn();
    const options = { folder: new StoreFolder(folder), write: true, onProgress };
    expect(await fingerprint(await opened(dir), options)).toBe(fresh);
    expect(onProgress).not.toHaveBeenCalled();
  });

  it('weights that are retrained in the same folder are hashed anew, also at the same size and mtime', async () => {
    const [dir, folder] = [model(), newDir()];
    const weights = join(dir, 'part-a');
    utimesSync(weights, 1e9, 1e9);
    later();
    const before = await of(dir, folder);
    writeFileSync(weights, readFileSync(weights, 'utf8').replace('of', 'OF'));
    utimesSync(weights, 1e9, 1e9); // ctime tells
    expect(await of(dir, folder)).not.toBe(before);
  });

  it('not with write: false, nor with a clock that goes backwards', async () => {
    const [dir, folder] = [model(), newDir()];
    vi.useFakeTimers({ now: Date.now() - LATER, toFake: ['Date'] });
    await of(dir, folder);
    vi.useRealTimers();
    later();
    await of(dir, folder, false);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('damaged in any byte: computed again', async () => {
    const [dir, folder] = [model(), newDir()];
    later();
    const right = await of(dir, folder);
    const path = join(folder, readdirSync(folder)[0] as string);
    const bytes = readFileSync(path);
    for (let at = 0; at < bytes.length; at++) {
      const flipped = Buffer.from(bytes);
      flipped[at] = (flipped[at] as number) ^ 1;
      writeFileSync(path, flipped);
      expect(await of(dir, folder)).toBe(right);
    }
    writeFileSync(path, '');
    expect(await of(dir, folder)).toBe(right);
  });
});

it('what is computed has one of its own for each engine, and that of the files where there was no other engine', () => {
  const files = 'a'.repeat(64);
  expect(fingerprintOf(files, undefined)).toBe(files);
  expect(fingerprintOf(files, 'simd-int8')).toMatch(/^[0-9a-f]{64}$/);
  expect(fingerprintOf(files, 'simd-int8')).toBe(fingerprintOf(files, 'simd-int8'));
  const all = [undefined, 'simd-float32', 'simd-int8'].map((computation) => fingerprintOf(files, computation));
  expect(new Set(all).size).toBe(3);
});

it.each([
  ['of the package', packaged],
  ['that is used', crc32],
])('CRC-32 %s is that of zip and gzip, in one piece or in two', (_, ours) => {
  expect(ours(Buffer.from('123456789'))).toBe(0xcbf43926);
  const bytes = Buffer.from(Array.from({ length: 1000 }, (_, i) => (i * 37) % 256));
  expect(ours(bytes)).toBe(0xc79e3e2d);
  expect(ours(bytes)).toBe(crc32(bytes));
  expect(ours(bytes.subarray(300), ours(bytes.subarray(0, 300)))).toBe(crc32(bytes));
  expect(ours(new Uint8Array(bytes))).toBe(crc32(bytes));
});
