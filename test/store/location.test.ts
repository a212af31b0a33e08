// Where the store may lie: private folders of this user, never a link, never somebody else's.

import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { KvgenError } from '../../src/errors.js';
import { clear, evict } from '../../src/store/eviction.js';
import { openStore, storeRoot } from '../../src/store/location.js';
import { PromptStore } from '../../src/store/prompts.js';
import { StoreFolder } from '../../src/store/store-folder.js';
import { tempDirs } from '../support/temp-dir.js';
import { computed, SHAPE } from './computed.js';

const newDir = tempDirs();
const isRoot = process.geteuid?.() === 0;

function open(cacheDir: string, make = true) {
  const notes: string[] = [];
  const folder = openStore(join(cacheDir, 'kvgen'), 'prompts', make, (line) => notes.push(line));
  return { folder: folder?.path, notes };
}

function keepOne(folder: string): void {
  const limits = { maxBytes: 1e9, maxAgeMs: 1e12 };
  const options = {
    folder: new StoreFolder(folder),
    write: true,
    limits,
    fingerprint: 'a',
    dtype: 'float32' as const,
    shape: SHAPE,
    model: 'm',
    onNote: () => {},
  };
  new PromptStore(options).keep(computed([1, 2, 3]));
}

const modeOf = (path: string) => statSync(path).mode & 0o777;

describe('a new store', () => {
  it('is made for this user alone, files too, also where the directory above does not exist yet', () => {
    const cacheDir = join(newDir(), 'a', 'b');
    const { folder } = open(cacheDir);
    keepOne(folder as string);
    expect(folder).toBe(join(cacheDir, 'kvgen', 'prompts'));
    expect([cacheDir, join(cacheDir, 'kvgen'), folder as string].map(modeOf)).toEqual([0o700, 0o700, 0o700]);
    expect(readdirSync(folder as string).map((file) => modeOf(join(folder as string, file)))).toEqual([0o600]);
  });

  it('is not made by those who only look', () => {
    const cacheDir = newDir();
    expect(open(cacheDir, false)).toEqual({ folder: undefined, notes: [] });
    expect(readdirSync(cacheDir)).toEqual([]);
  });

  it('that cannot be made is one line, and no store', () => {
    const file = join(newDir(), 'file');
    writeFileSync(file, '');
    const { folder, notes } = open(file);
    expect(folder).toBeUndefined();
    expect(notes).toEqual([expect.stringMatching(/prompts: cannot be made \(\w+\); nothing is kept$/)]);
  });

  it('lies in the user’s cache directory, or where it is told', async () => {
    expect(await storeRoot('/x')).toBe('/x/kvgen');
    expect(await storeRoot(undefined)).toMatch(/[\\/]kvgen$/);
  });
});

describe('is refused', () => {
  const refused = (cacheDir: string) => expect(() => open(cacheDir));

  it('where others can write, or read', () => {
    const cacheDir = newDir();
    const { folder } = open(cacheDir);
    chmodSync(folder as string, 0o750);
    refused(cacheDir).toThrow('can be read by others; chmod 700 it');
    chmodSync(folder as string, 0o700);
    chmodSync(join(cacheDir, 'kvgen'), 0o770);
    refused(cacheDir).toThrow(KvgenError);
    refused(cacheDir).toThrow('can be written to by others');
    chmodSync(join(cacheDir, 'kvgen'), 0o755);
    expect(open(cacheDir).folder).toBe(folder);
  });

  it('where something else has its name, or that of the folder above, looked at or made', () => {
    const cacheDir = newDir();
    const root = join(cacheDir, 'kvgen');
    const kinds: [(path: string) => void, string][] = [
      [(path) => spawnSync('mkfifo', [path]), 'a file'],
      [(path) => symlinkSync(path, path), 'a link'],
      [(path) => symlinkSync('/dev/zero', path), 'a link'],
    ];
    for (const dir of [root, join(root, 'prompts')]) {
      for (const [put, what] of kinds) {
        put(dir);
        for (const make of [true, false]) {
          expect(() => open(cacheDir, make)).toThrow(`${dir}: expected a directory, found ${what}; remove it, or`);
        }
        rmSync(dir);
      }
      mkdirSync(dir, { mode: 0o700 });
    }
  });

  it.skipIf(!isRoot)('where it belongs to another user', () => {
    const cacheDir = newDir();
    const { folder } = open(cacheDir);
    chownSync(folder as string, 65534, 65534);
    refused(cacheDir).toThrow('belongs to user 65534, expected 0');
  });

  it('where others can write above it, so that they could put another in its place', () => {
    const above = newDir();
    const cacheDir = join(above, 'a', 'b');
    open(cacheDir);
    chmodSync(above, 0o777);
    refused(cacheDir).toThrow(
      `${above}: can be written to by others, and ${cacheDir}/kvgen lies in it; chmod go-w it, or`,
    );
    expect(() => open(cacheDir, false)).toThrow(KvgenError);
    refused(join(above, 'new')).toThrow(KvgenError);
    expect(readdirSync(above)).toEqual(['a']); // nothing is made first
  });

  it.each(['kvgen', 'prompts'])('where %s is a link, or a file', (name) => {
    const [cacheDir, elsewhere] = [newDir(), newDir()];
    if (name === 'prompts') {
      mkdirSync(join(cacheDir, 'kvgen'), { mode: 0o700 });
    }
    const path = name === 'kvgen' ? join(cacheDir, 'kvgen') : join(cacheDir, 'kvgen', 'prompts');
    symlinkSync(elsewhere, path);
    refused(cacheDir).toThrow('expected a directory, found a link');
    expect(readdirSync(elsewhere)).toEqual([]);
  });
});

it('a home directory given as --cache-dir keeps everything that was there', () => {
  const home = newDir();
  const project = join(home, 'kvgen'); // somebody's own folder of that name
  mkdirSync(join(project, 'answers'), { recursive: true, mode: 0o755 });
  chmodSync(project, 0o755);
  const theirs = ['README.md', 'answers/block-list.safetensors', 'answers/1234.json'];
  for (const file of theirs) {
    writeFileSync(join(project, file), 'mine');
  }
  const { folder } = open(home);
  keepOne(folder as string);
  evict(new StoreFolder(folder as string), { maxBytes: 0, maxAgeMs: 0 });
  expect(() => openStore(project, 'answers', true, () => {})).toThrow('can be read by others');
  clear(new StoreFolder(join(project, 'answers')));
  clear(new StoreFolder(folder as string));
  expect(modeOf(project)).toBe(0o755);
  expect((readdirSync(project, { recursive: true }) as string[]).sort()).toEqual(
    ['answers', 'prompts', ...theirs].sort(),
  );
});
