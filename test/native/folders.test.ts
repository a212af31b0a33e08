import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { makeDirectories } from '../../src/native/folders.js';
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
