// Writes down the files of an engine, and proves by that record that they are unchanged. A record is read in status.ts.
// Knows nothing of how the files were made.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
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
