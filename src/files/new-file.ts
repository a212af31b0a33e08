// A new file that is there whole or not at all: it is written in a temporary folder beside its place, and renamed. What must not
// be replaced is refused, before the work that the file is the result of. Knows nothing of what is in it.

import { constants, type Stats } from 'node:fs';
import { access, chmod, realpath, rename, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { errorCode, errorMessage, KvgenError } from '../errors.js';
import { checkWritable, withStage } from './folders.js';

/** @throws KvgenError where no file can be written, or what is there is no regular file */
export async function checkNewFile(path: string): Promise<void> {
  try {
    const found = await existing(path);
    if (found !== undefined && !found.isFile()) {
      throw new KvgenError(`${path}: expected a file or nothing, found ${kindOf(found)}; name another file`);
    }
    if (found !== undefined) {
      await access(path, constants.W_OK);
    }
    const folder = dirname(await place(path));
    if ((await existing(folder)) === undefined) {
      throw new KvgenError(`${path}: there is no folder ${folder}; make it first, or name another file`);
    }
    await checkWritable(folder);
  } catch (error) {
    throw cannotWrite(path, error);
  }
}

/** Writes it, in place of the one that is there. @throws KvgenError */
export async function writeNewFile(path: string, text: string): Promise<void> {
  try {
    const target = await place(path);
    const found = await existing(target);
    await withStage(dirname(target), async (stage) => {
      const temporary = join(stage, basename(target));
      await writeFile(temporary, text);
      if (found !== undefined) {
        await chmod(temporary, found.mode);
      }
      await rename(temporary, target);
    });
  } catch (error) {
    throw cannotWrite(path, error);
  }
}

async function existing(path: string): Promise<Stats | undefined> {
  return stat(path).catch((error) => {
    if (errorCode(error) === 'ENOENT') {
      return undefined;
    }
    throw error;
  });
}

/** Where a link leads: the link stays. */
async function place(path: string): Promise<string> {
  return realpath(path).catch(() => resolve(path));
}

function kindOf(stats: Stats): string {
  return stats.isDirectory() ? 'a folder' : 'something else, such as a pipe or a device';
}

function cannotWrite(path: string, error: unknown): KvgenError {
  return error instanceof KvgenError ? error : new KvgenError(`${path}: cannot be written (${errorMessage(error)})`);
}
