// A folder that is there as a whole or not at all.

import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeFolder } from '../../src/weights/new-folder.js';
import { expectFailure } from '../support/errors.js';
import { tempDirs } from '../support/temp-dir.js';

const tempDir = tempDirs();
const fill = (dir: string) => writeFile(join(dir, 'a'), 'text').then(() => 7);

it('is not there while it is filled, and is whole when it is', async () => {
  const parent = tempDir();
  const target = join(parent, 'new');
  const result = await writeFolder(target, (dir) => {
    expect(existsSync(target)).toBe(false);
    expect(dir.startsWith(`${target}.tmp-`)).toBe(true);
    return fill(dir);
  });
  expect(result).toBe(7);
  expect(readdirSync(parent)).toEqual(['new']);
  expect(readFileSync(join(target, 'a'), 'utf8')).toBe('text');
});

it('replaces an empty folder, also where its name ends in a separator', async () => {
  const parent = tempDir();
  mkdirSync(join(parent, 'empty'));
  await writeFolder(`${join(parent, 'empty')}/`, fill);
  expect(readdirSync(parent)).toEqual(['empty']);
  expect(readdirSync(join(parent, 'empty'))).toEqual(['a']);
});

describe('leaves what there was', () => {
  it('where something has the name, before any work', async () => {
    const parent = tempDir();
    const [file, full] = [join(parent, 'file'), join(parent, 'full')];
    writeFileSync(file, 'mine');
    mkdirSync(full);
    writeFileSync(join(full, 'mine'), '');
    const never = () => expect.unreachable();
    await expectFailure(() => writeFolder(file, never), `${file}: is a file; choose another name`);
    await expectFailure(() => writeFolder(full, never), `${full}: exists and is not empty; choose another folder`);
    expect(readdirSync(parent).sort()).toEqual(['file', 'full']);
    expect([readFileSync(file, 'utf8'), ...readdirSync(full)]).toEqual(['mine', 'mine']);
  });

  it('where nothing can be written', async () => {
    const target = join(tempDir(), 'no', 'such', 'folder');
    await expectFailure(() => writeFolder(target, fill), `${target}: cannot be written (ENOENT: `);
    const locked = tempDir();
    chmodSync(locked, 0o500);
    if (process.getuid?.() !== 0) {
      await expectFailure(() => writeFolder(join(locked, 'x'), fill), 'x: cannot be written (EACCES: ');
    }
  });

  it('where filling it fails, whose error it throws', async () => {
    const parent = tempDir();
    const work = writeFolder(join(parent, 'x'), async (dir) => {
      await fill(dir);
      throw new Error('stopped');
    });
    await expect(work).rejects.toThrow(/^stopped$/);
    const full = () =>
      writeFolder(join(parent, 'y'), async () => {
        throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' });
      });
    await expectFailure(full, 'y: cannot be written (ENOSPC: no space left on device, write)');
    expect(readdirSync(parent)).toEqual([]);
  });
});
