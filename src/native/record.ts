// The record that lies beside an installed or cached native engine: which TensorFlow it is, where it came from,
// and the size and SHA-256 of each file. A folder is complete when its record says so and the files agree.
// Knows nothing of how the files got there.

import { createHash } from 'node:crypto';
import { createReadStream, lstatSync, readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

/** `download`: tfjs-node's own; `wheel`: TensorFlow's Python package; `found`: was there before kvgen looked. */
export type Source = 'download' | 'wheel' | 'found';

export interface FileRecord {
  /** Relative to the folder, with forward slashes. */
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
}

export interface NativeRecord {
  readonly tfjsNode: string;
  readonly tensorflow: string;
  readonly source: Source;
  readonly files: readonly FileRecord[];
}

const RECORD = 'kvgen-native.json';

/** The record of `folder` if all its files are there with the recorded sizes: cheap, reads one small file. */
export function readRecord(folder: string): NativeRecord | undefined {
  const record = parse(folder);
  return record?.files.every((file) => sizeOf(join(folder, file.path)) === file.size) ? record : undefined;
}

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

export async function recordFiles(folder: string, paths: readonly string[]): Promise<FileRecord[]> {
  const files: FileRecord[] = [];
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

function parse(folder: string): NativeRecord | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(join(folder, RECORD), 'utf8'));
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is NativeRecord {
  const record = value as Partial<NativeRecord> | null;
  return (
    typeof record?.tfjsNode === 'string' &&
    typeof record.tensorflow === 'string' &&
    typeof record.source === 'string' &&
    Array.isArray(record.files) &&
    record.files.length > 0 &&
    record.files.every((file) => isInside(file.path) && typeof file.sha256 === 'string')
  );
}

function isInside(path: unknown): boolean {
  return typeof path === 'string' && !path.startsWith('/') && !path.split(/[\\/]/).includes('..');
}

function sizeOf(path: string): number | undefined {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  return stats?.isFile() ? stats.size : undefined;
}
