// Whole files in a private folder. They are written under a temporary name and then renamed, so that a reader sees all of a
// file or nothing, even if a writer is killed. Only regular files count: no link is followed, and no pipe or device that has
// the name of a file is waited for. Knows nothing of what is in a file.

import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  lutimesSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

/** Names that a killed writer may leave behind. */
export const TEMPORARY = /^\.tmp-\d+-[0-9a-f]{16}$/;

// O_NONBLOCK: opening a pipe of that name must not wait for its other end. Windows has neither flag.
const SAFELY = (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
const READ = constants.O_RDONLY | SAFELY;
const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | SAFELY;

/** The names of the regular files of a folder. @throws the system's error */
export function listFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isFile() ? entry.name : []));
}

/** @throws the system's error, and leaves nothing behind */
export function writeWhole(folder: string, name: string, bytes: Uint8Array): void {
  const temporary = join(folder, `.tmp-${process.pid}-${randomBytes(8).toString('hex')}`);
  try {
    writeFileSync(temporary, bytes, { flag: 'wx', mode: 0o600 });
    renameSync(temporary, join(folder, name));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/**
 * The bytes of a regular file; undefined when there is none that can be read.
 * @param atMost how many it may have
 * @param allocate returns memory for that many bytes
 * @throws an error for a longer one
 */
export function readWhole(
  path: string,
  atMost: number,
  allocate = (size: number) => new Uint8Array(size),
): Uint8Array<ArrayBuffer> | undefined {
  return readFile(path, (size) => {
    if (size > atMost) {
      throw new Error(`it has ${size} bytes, of at most ${atMost}`);
    }
    return allocate(size);
  });
}

/** The first bytes of a regular file, or as many as it has; undefined when there is none that can be read. */
export function readStart(path: string, bytes: number): Uint8Array<ArrayBuffer> | undefined {
  return readFile(path, (size) => new Uint8Array(Math.min(size, bytes)));
}

/** @param allocate returns memory for as many bytes as are to be read; what it throws comes through */
function readFile(
  path: string,
  allocate: (size: number) => Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> | undefined {
  let file: number;
  try {
    file = openSync(path, READ);
  } catch {
    return undefined;
  }
  try {
    const stats = fstatSync(file);
    return stats.isFile() ? readBytes(file, allocate(stats.size)) : undefined;
  } finally {
    closeSync(file);
  }
}

/** Fills `bytes`. Returns fewer when the file has become shorter, undefined when it cannot be read. */
function readBytes(file: number, bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> | undefined {
  let done = 0;
  try {
    for (let read = -1; done < bytes.length && read !== 0; done += read) {
      read = readSync(file, bytes, done, bytes.length - done, done);
    }
  } catch {
    return undefined;
  }
  return bytes.subarray(0, done);
}

/** Adds a short line to a regular file. Several processes may do so at the same time. @throws the system's error */
export function appendLine(path: string, line: string): void {
  const file = openSync(path, APPEND, 0o600);
  try {
    if (fstatSync(file).isFile()) {
      writeSync(file, `${line}\n`);
    }
  } finally {
    closeSync(file);
  }
}

/** Is there something of that name that is no regular file, such as a link or a pipe? */
export function isOther(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.isFile() === false;
  } catch {
    return false;
  }
}

/** Returns undefined for anything but a regular file. */
export function statFile(path: string): Stats | undefined {
  try {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    return stats?.isFile() ? stats : undefined;
  } catch {
    return undefined;
  }
}

/** Marks a file as used. @param at milliseconds since 1970 */
export function touch(path: string, at: number): void {
  try {
    lutimesSync(path, at / 1000, at / 1000);
  } catch {
    // The file is gone or may not be changed. Its age is not worth a failure.
  }
}

/** Removes a regular file and nothing else. @returns the bytes that this freed */
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
