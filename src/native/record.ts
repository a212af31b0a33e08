// Writes down the files of an engine, proves by that record that they are unchanged, and puts them from one folder into
// another. A record is read in status.ts. Knows nothing of how the files were made.

import { createHash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { chmod, copyFile, link, mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type NativeRecord, RECORD, sizeOf } from './status.js';

export async function writeRecord(folder: string, record: NativeRecord): Promise<void> {
  const path = join(folder, RECORD);
  await writeFile(`${path}.${process.pid}`, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o644 });
  await rename(`${path}.${process.pid}`, path);
}

/** The first recorded file whose content is not what was recorded, or undefined. Reads everything. */
export async function findCorrupt(folder: string, record: NativeRecord): Promise<string | undefined> {
  for (const file of record.files) {
    if ((await sha256(join(folder, file.path))) !== file.sha256) {
      return file.path;
    }
  }
  return undefined;
}

export async function recordFiles(folder: string, paths: readonly string[]): Promise<NativeRecord['files']> {
  const files: NativeRecord['files'][number][] = [];
  for (const path of paths) {
    files.push({ path, size: sizeOf(join(folder, path)) ?? 0, sha256: await sha256(join(folder, path)) });
  }
  return files;
}

export async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}

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
