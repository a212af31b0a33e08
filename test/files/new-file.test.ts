import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { checkNewFile, writeNewFile } from '../../src/files/new-file.js';
import { tempDirs } from '../support/temp-dir.js';

const tempDir = tempDirs();

it('writes a new file, and one in place of another, whose permissions stay; nothing else is left', async () => {
  const dir = tempDir();
  const path = join(dir, 'page.html');
  await checkNewFile(path);
  await writeNewFile(path, 'one');
  chmodSync(path, 0o600);
  await checkNewFile(path);
  await writeNewFile(path, 'two');
  expect(readFileSync(path, 'utf8')).toBe('two');
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(dir)).toEqual(['page.html']);
});

it('follows a link, which stays', async () => {
  const dir = tempDir();
  mkdirSync(join(dir, 'there'));
  writeFileSync(join(dir, 'there', 'page.html'), 'old');
  symlinkSync(join('there', 'page.html'), join(dir, 'link.html'));
  await writeNewFile(join(dir, 'link.html'), 'new');
  expect(lstatSync(join(dir, 'link.html')).isSymbolicLink()).toBe(true);
  expect(readFileSync(join(dir, 'there', 'page.html'), 'utf8')).toBe('new');
});

it('refuses what is no file, and a folder that is not there', async () => {
  const dir = tempDir();
  await expect(checkNewFile(dir)).rejects.toThrow(`${dir}: expected a file or nothing, found a folder`);
  await expect(checkNewFile('/dev/null')).rejects.toThrow(
    '/dev/null: expected a file or nothing, found something else',
  );
  const gone = join(dir, 'gone', 'page.html');
  await expect(checkNewFile(gone)).rejects.toThrow(`${gone}: there is no folder ${join(dir, 'gone')}; make it first`);
  await expect(writeNewFile(gone, 'x')).rejects.toThrow(`${gone}: cannot be written (ENOENT`);
  const below = join(dir, 'file', 'page.html');
  writeFileSync(join(dir, 'file'), '');
  await expect(checkNewFile(below)).rejects.toThrow(`${below}: cannot be written (ENOTDIR`);
});
