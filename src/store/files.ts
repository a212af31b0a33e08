// Whole files in a private folder: written under a temporary name and renamed, so that a reader sees all of a file
// or none of it, whoever is killed when. Links are not followed. Knows nothing of contents.

import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
  utimesSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

/** Names that a killed writer may leave behind. */
export const TEMPORARY = /^\.tmp-\d+-[0-9a-f]{16}$/;

// NONBLOCK: a pipe of that name must not be waited for. Windows has neither.
const READ = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0);

/** @throws the system's error; nothing is left behind then */
export function writeWhole(folder: string, name: string, bytes: Uint8Array): void {
  const temporary = join(folder, `.tmp-${process.pid}-${randomBytes(8).toString('hex')}`);
  try {
    const file = openSync(temporary, 'wx', 0o600);
    try {
      for (let done = 0; done < bytes.length; ) {
        done += writeSync(file, bytes, done);
      }
    } finally {
      closeSync(file);
    }
    renameSync(temporary, join(folder, name));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/**
 * The bytes of a regular file; undefined when there is none that can be read.
 * @param atMost of a longer file only the beginning is read
 * @param allocate gives the memory for so many bytes
 */
export function readWhole(
  path: string,
  atMost = Number.POSITIVE_INFINITY,
  allocate = (size: number) => new Uint8Array(size),
): Uint8Array<ArrayBuffer> | undefined {
  let file: number;
  try {
    file = openSync(path, READ);
  } catch {
    return undefined;
  }
  try {
    const stats = fstatSync(file);
    return stats.isFile() ? readBytes(file, allocate(Math.min(stats.size, atMost))) : undefined;
  } catch {
    return undefined;
  } finally {
    closeSync(file);
  }
}

/** Fills `bytes`; gives fewer where the file has become shorter. */
function readBytes(file: number, bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  let done = 0;
  for (let read = -1; done < bytes.length && read !== 0; done += read) {
    read = readSync(file, bytes, done, bytes.length - done, done);
  }
  return bytes.subarray(0, done);
}

/** Adds a short line; several processes may do so at once. */
export function appendLine(path: string, line: string): void {
  const file = openSync(path, APPEND, 0o600);
  try {
    writeSync(file, `${line}\n`);
  } finally {
    closeSync(file);
  }
}

/** What is known of a regular file; undefined for anything else. */
export function statFile(path: string): Stats | undefined {
  try {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    return stats?.isFile() ? stats : undefined;
  } catch {
    return undefined;
  }
}

/** Marks a file as used now. One that is gone, or that may not be changed, stays as it is. */
export function touch(path: string): void {
  try {
    const now = Date.now() / 1000;
    utimesSync(path, now, now);
  } catch {
    // the age of a file is worth no failure
  }
}

/** Removes a regular file, and nothing else. @returns the bytes that this freed */
export function removeFile(path: string): number {
  const stats = statFile(path);
  if (stats === undefined) {
    return 0;
  }
  try {
    rmSync(path);
    return stats.size;
  } catch {
    return 0;
  }
}
