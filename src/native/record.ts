// Records the files of an engine, finds by that record whether one of them has changed, and copies them from one folder to
// another. A record is read in status.ts. Knows nothing of how the files were made.

import { createHash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { chmod, copyFile, link, mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { TFJS_NODE } from './pins.js';
import { type NativeRecord, nativeFiles, RECORD, type Source, sizeOf } from './status.js';

export async function makeRecord(folder: string, source: Source, tensorflow: string): Promise<NativeRecord> {
  const files: NativeRecord['files'][number][] = [];
  for (const path of nativeFiles(folder)) {
    files.push({ path, size: sizeOf(join(folder, path)) ?? 0, sha256: await sha256(join(folder, path)) });
  }
  return { tfjsNode: TFJS_NODE.version, tensorflow, source, files };
}

export async function writeRecord(folder: string, record: NativeRecord): Promise<void> {
  const path = join(folder, RECORD);
  await writeFile(`${path}.${process.pid}`, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o644 });
  await rename(`${path}.${process.pid}`, path);
}

/** The first file whose content is not as recorded, or undefined. Reads every file completely. */
export async function findCorrupt(folder: string, record: NativeRecord): Promise<string | undefined> {
  for (const file of record.files) {
    if ((await sha256(join(folder, file.path))) !== file.sha256) {
      return file.path;
    }
  }
  return undefined;
}

export async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}

/** A file gets its name only when it is whole, even if another install runs at the same time. */
export async function place(from: string, to: string, { files }: NativeRecord): Promise<void> {
  for (const { path } of files) {
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

export async function unplace(from: string, { files }: NativeRecord): Promise<void> {
  for (const { path } of files) {
    await rm(join(from, path), { force: true });
  }
}

/** Makes a hard link where that is safe, so that half a gigabyte is on the disk only once; else a copy. */
async function linkOrCopy(source: string, target: string): Promise<void> {
  await rm(target, { force: true });
  const { uid, mode } = await stat(source);
  // A link has the owner and mode of its source. In a shared folder, others must be able to read the file but not write it.
  const isShareable = uid === process.getuid?.() && (mode & 0o777) === 0o644;
  try {
    if (isShareable) {
      return await link(source, target);
    }
  } catch {
    // The target is on another file system, or on one without hard links.
  }
  await copyFile(source, target, constants.COPYFILE_FICLONE);
  await chmod(target, 0o644);
}
