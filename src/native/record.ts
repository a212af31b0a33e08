// Records the files of an engine, finds by that record whether one of them has changed, and copies them from one folder to
// another. A record is read in status.ts. Knows nothing of how the files were made.

import { createHash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { chmod, copyFile, link, mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { withStage } from '../files/folders.js';
import { TFJS_NODE } from './pins.js';
import { BINDING, type NativeRecord, RECORD, sizeOf } from './status.js';

/** @param libraries the names of the shared libraries that the binding loads */
export async function makeRecord(folder: string, libraries: readonly string[]): Promise<NativeRecord> {
  const files: NativeRecord['files'][number][] = [];
  for (const path of [...libraries.map((name) => `deps/lib/${name}`), BINDING]) {
    files.push({ path, size: sizeOf(join(folder, path)) ?? 0, sha256: await sha256(join(folder, path)) });
  }
  return { tfjsNode: TFJS_NODE.version, tensorflow: 'unknown', source: 'wheel', files };
}

export async function writeRecord(folder: string, record: NativeRecord): Promise<void> {
  await withStage(folder, async (stage) => {
    await writeFile(join(stage, RECORD), `${JSON.stringify(record, null, 2)}\n`, { mode: 0o644 });
    await rename(join(stage, RECORD), join(folder, RECORD));
  });
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
  await withStage(to, async (stage) => {
    for (const { path } of files) {
      const temporary = join(stage, basename(path));
      await linkOrCopy(join(from, path), temporary);
      await mkdir(dirname(join(to, path)), { recursive: true });
      await rename(temporary, join(to, path));
    }
  });
}

export async function unplace(from: string, { files }: NativeRecord): Promise<void> {
  for (const { path } of files) {
    await rm(join(from, path), { force: true });
  }
}

/** Makes a hard link where that is safe, so that half a gigabyte is on the disk only once; else a copy. */
async function linkOrCopy(source: string, target: string): Promise<void> {
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
