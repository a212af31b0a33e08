// Keeps finished engines in the user's cache directory, so that a second checkout need not download or compile. The files
// are code that will be loaded. So the folder must be a real directory of this user that nobody else can write to or replace,
// and each file's hash is checked before it is used. Knows nothing of tfjs-node's folder.

import { existsSync } from 'node:fs';
import { chmod, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errorCode, errorMessage } from '../errors.js';
import { checkWritable, makeDirectories, withStage } from '../files/folders.js';
import { checkAbove, checkPrivate } from '../files/private-folder.js';
import { TFJS_NODE } from './pins.js';
import { findCorrupt } from './record.js';
import { type NativeRecord, readRecord } from './status.js';

const ELSEWHERE = 'choose another XDG_CACHE_HOME';

/** Makes the cache folder if there is none, and checks it. @throws an error that says why it cannot be used */
export async function openCache(cache: string): Promise<void> {
  checkAbove(cache, ELSEWHERE);
  makeDirectories(cache, 0o700);
  checkAbove(cache, ELSEWHERE); // somebody else may have made one of them first
  checkPrivate(cache, 'write', ELSEWHERE);
  if (process.platform !== 'win32') {
    await chmod(cache, 0o700);
  }
  await checkWritable(cache);
}

/** The folder in the cache for the engine of a platform. */
export function cacheEntry(cache: string, platform: string): string {
  return join(cache, `tfjs-node-${TFJS_NODE.version}-${platform}`);
}

/** The record of an entry whose files are all as recorded. A broken entry is removed. */
export async function findCached(entry: string, log: (line: string) => void): Promise<NativeRecord | undefined> {
  if (!existsSync(entry)) {
    return undefined;
  }
  const record = readRecord(entry);
  let problem = 'no record of a checked engine, or files of another size than recorded';
  if (record !== undefined) {
    const corrupt = await findCorrupt(entry, record);
    if (corrupt === undefined) {
      return record;
    }
    problem = `${corrupt} is not what was recorded`;
  }
  log(`${entry}: ${problem}; removed`);
  await rm(entry, { recursive: true, force: true });
  return undefined;
}

/** Moves a finished folder, with its record, into the cache. If this fails, it only costs the next checkout time. */
export async function keep(finished: string, entry: string, log: (line: string) => void): Promise<void> {
  try {
    await withStage(dirname(entry), async (aside) => {
      // A directory cannot be renamed to the name of one that is not empty, so the old one is moved away first.
      await rename(entry, join(aside, 'old')).catch(() => undefined);
      await rename(finished, entry);
    });
  } catch (error) {
    const code = errorCode(error);
    // These codes mean that another install was faster. Its engine is as good.
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') {
      log(`not kept in the cache: ${errorMessage(error)}`);
    }
  }
}
