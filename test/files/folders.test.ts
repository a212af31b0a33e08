import { existsSync, lutimesSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { makeDirectories, sweep } from '../../src/files/folders.js';
import { tempDirs } from '../support/temp-dir.js';

const tempDir = tempDirs();

it('makes a directory and those above it, with the mode that is asked for', () => {
  const top = join(tempDir(), 'a');
  makeDirectories(join(top, 'b', 'c'), 0o700);
  for (const dir of [top, join(top, 'b'), join(top, 'b', 'c')]) {
    expect(statSync(dir).mode & 0o777).toBe(0o700);
  }
  makeDirectories(join(top, 'b'), 0o755);
  expect(statSync(join(top, 'b')).mode & 0o777).toBe(0o700);
});

it('below a file is an error', () => {
  const file = join(tempDir(), 'file');
  writeFileSync(file, '');
  expect(() => makeDirectories(join(file, 'below'), 0o700)).toThrow('ENOTDIR');
});

it.skipIf(!existsSync('/proc/self'))('comes to an end where the system will not make it', () => {
  expect(() => makeDirectories('/proc/kvgen/below', 0o700)).toThrow('ENOENT');
});

it('sweeps what killed runs have left, after an hour in which nothing changed in it', async () => {
  const parent = tempDir();
  const [old, busy, other, link] = ['tmp-old', 'tmp-busy', 'mine', 'tmp-link'].map((name) => join(parent, name));
  const longAgo = new Date(Date.now() - 61 * 60 * 1000);
  for (const dir of [old, busy, other] as string[]) {
    mkdirSync(join(dir, 'sub'), { recursive: true });
    writeFileSync(join(dir, 'sub', 'file'), '');
    symlinkSync(other as string, join(dir, 'link'));
    for (const path of [
      ...(dir === busy ? [] : [join(dir, 'sub', 'file')]),
      join(dir, 'link'),
      join(dir, 'sub'),
      dir,
    ]) {
      lutimesSync(path, longAgo, longAgo);
    }
  }
  symlinkSync(other as string, link as string);
  await sweep(parent, (name) => name.startsWith('tmp-'));
  expect(readdirSync(parent).sort()).toEqual(['mine', 'tmp-busy', 'tmp-link']);
  expect(readdirSync(other as string)).toEqual(['link', 'sub']);
});
