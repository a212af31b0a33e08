// A new folder that is there with all of its files or not at all: it is filled under a temporary name beside its own, and
// renamed. What a killed run has left under such a name goes with the next run. Knows nothing of what is in it.

import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { errorCode, errorMessage, KvgenError } from '../errors.js';
import { sweep } from '../files/folders.js';

/**
 * @param target does not exist yet, or is an empty folder
 * @param fill writes into the folder that it is given
 * @throws KvgenError before anything is written where there is something, or nothing can be written; what `fill` throws
 */
export async function writeFolder<T>(target: string, fill: (dir: string) => Promise<T>): Promise<T> {
  const found = await entriesOf(target);
  const prefix = `${resolve(target)}.tmp-`;
  const temporary = prefix + randomBytes(4).toString('hex');
  try {
    await sweep(dirname(prefix), (name) => name.slice(0, -8) === basename(prefix) && /[0-9a-f]{8}$/.test(name));
    await mkdir(temporary);
    const result = await fill(temporary);
    if (found !== undefined) {
      await rmdir(target); // not every system renames a folder onto an empty one
    }
    await rename(temporary, resolve(target));
    return result;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw isOfSystem(error) ? new KvgenError(`${target}: cannot be written (${errorMessage(error)})`) : error;
  }
}

/** undefined: there is nothing of that name. @throws KvgenError for what must not be replaced */
async function entriesOf(target: string): Promise<string[] | undefined> {
  let names: string[];
  try {
    names = await readdir(target);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') {
      return undefined;
    }
    const what = errorCode(error) === 'ENOTDIR' ? 'is a file' : `cannot be written (${errorMessage(error)})`;
    throw new KvgenError(`${target}: ${what}; choose another name for the folder`);
  }
  if (names.length > 0) {
    throw new KvgenError(`${target}: exists and is not empty; choose another folder, or remove it first`);
  }
  return names;
}

/** Of a call that failed, such as ENOSPC. */
function isOfSystem(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}
