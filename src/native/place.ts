// Puts recorded files from one folder into another: a hard link where that is safe, else a copy. Each file
// appears under its name at once and whole, whatever else is being installed at the same time.

import { constants } from 'node:fs';
import { chmod, copyFile, link, mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { NativeRecord } from './status.js';

export async function place(from: string, to: string, record: NativeRecord): Promise<void> {
  for (const { path } of record.files) {
    const target = join(to, path);
    const temporary = `${target}.${process.pid}`;
    await mkdir(dirname(target), { recursive: true });
    try {
      await linkOrCopy(join(from, path), temporary);
      await rename(temporary, target);
    } finally {
      await rm(temporary, { force: true });
    }
  }
}

export async function unplace(from: string, record: NativeRecord): Promise<void> {
  for (const { path } of record.files) {
    await rm(join(from, path), { force: true });
  }
}

async function linkOrCopy(source: string, target: string): Promise<void> {
  await rm(target, { force: true });
  if (await isShareable(source)) {
    try {
      await link(source, target);
      return;
    } catch {
      // Another file system, or one without hard links.
    }
  }
  await copyFile(source, target, constants.COPYFILE_FICLONE);
  await chmod(target, 0o644);
}

/** A link keeps owner and mode: in a folder that others use too they must be able to read it, and not write. */
async function isShareable(source: string): Promise<boolean> {
  const { uid, mode } = await stat(source);
  return uid === process.getuid?.() && (mode & 0o777) === 0o644;
}
