// Why a file cannot be read, in words that need no manual. Knows nothing of how files are opened.

import { type BigIntStats, lstatSync, type Stats } from 'node:fs';
import { errorCode, errorMessage, KvgenError, megabytes } from '../errors.js';
import type { FileKind } from './file-kinds.js';

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'a part of its path is no folder',
  EISDIR: 'it is a folder',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  ELOOP: 'it is a link that leads in a circle',
  ENAMETOOLONG: 'its name is too long',
  ENXIO: 'it is a socket, or a device that is not there', // the system's answer to opening one
  EBADF: 'it is not open for reading',
  EMFILE: 'too many files are open',
  ENFILE: 'too many files are open',
};

/** @param cause the error of a failed call; it becomes the error's `cause` */
export function cannotRead(path: string, { name }: FileKind, cause: unknown): KvgenError {
  return new KvgenError(`${path}: ${name} cannot be read (${systemWords(path, cause)})`, { cause });
}

/** For what is no regular file, nor anything else that can be read to an end. */
export function wrongType(path: string, { name, advice }: FileKind, stats: Stats | BigIntStats): KvgenError {
  return new KvgenError(`${path}: ${name} cannot be read (${typeWords(stats)}); ${advice}`);
}

/** @param found how many bytes there are; undefined: more, and nobody knows how many */
export function tooLarge(path: string, { name, maxBytes, remedy }: FileKind, found?: number): KvgenError {
  const size = found === undefined ? 'more' : megabytes(found);
  const words = `${path}: ${name} may have at most ${megabytes(maxBytes, 0)}, found ${size}`;
  return new KvgenError(remedy === undefined ? words : `${words}; ${remedy}`);
}

/** Why a call failed on a path. */
export function systemWords(path: string, error: unknown): string {
  const code = errorCode(error) ?? '';
  return code === 'ENOENT' && isLink(path) ? 'it is a link that leads nowhere' : (WORDS[code] ?? errorMessage(error));
}

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}

/** What something is that is no regular file. */
export function typeWords(stats: Stats | BigIntStats): string {
  if (stats.isDirectory()) {
    return 'it is a folder';
  }
  if (stats.isFIFO()) {
    return 'it is a named pipe';
  }
  return stats.isSocket() ? 'it is a socket' : 'it is a device';
}
