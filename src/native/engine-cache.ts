// Finished engines in the user's cache directory, so that a second checkout neither downloads nor compiles. The
// folder holds code that will be loaded: it is used only if it is a real directory of this user that
// nobody else can write to, and each file is hashed before it is used. Knows nothing of tfjs-node's folder.

import { chmod, lstat, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, errorMessage } from '../errors.js';
import { makeDirectories, withStage } from './folders.js';
import { TFJS_NODE } from './pins.js';
import { findCorrupt } from './record.js';
import { type NativeRecord, readRecord } from './status.js';

export interface Cached {
  readonly folder: string;
  readonly record: NativeRecord;
}

/** Makes the cache folder, or checks the one that is there; an error says why it cannot be used. */
export async function openCache(folder: string): Promise<void> {
  makeDirectories(folder, 0o700);
  const stats = await lstat(folder);
  if (!stats.isDirectory()) {
    throw new Error(`${folder}: expected a directory`);
  }
  const uid = process.getuid?.();
  if (uid === undefined) {
    return;
  }
  if (stats.uid !== uid) {
    throw new Error(`${folder}: belongs to user ${stats.uid}, expected ${uid}`);
  }
  if ((stats.mode & 0o022) !== 0) {
    throw new Error(`${folder}: can be written by others: chmod 700 it`);
  }
  await chmod(folder, 0o700);
}

/** A whole and uncorrupted engine for this platform; what is there but broken is removed. */
export async function findCached(
  cache: string,
  platform: string,
  log: (line: string) => void,
): Promise<Cached | undefined> {
  const folder = entryFolder(cache, platform);
  const stats = await lstat(folder).catch(() => undefined);
  if (stats === undefined) {
    return undefined;
  }
  const problem = await findProblem(folder);
  if (typeof problem === 'object') {
    return { folder, record: problem };
  }
  log(`${folder}: ${problem}; removed`);
  await rm(folder, { recursive: true, force: true });
  return undefined;
}

async function findProblem(folder: string): Promise<NativeRecord | string> {
  const record = readRecord(folder);
  if (record === undefined) {
    return 'files are missing or have another size than recorded';
  }
  const corrupt = await findCorrupt(folder, record);
  return corrupt === undefined ? record : `${corrupt} is not what was recorded`;
}

/** Moves a finished folder (with its record) into the cache. A failure costs the next checkout time, no more. */
export async function keep(
  cache: string,
  platform: string,
  finished: string,
  log: (line: string) => void,
): Promise<void> {
  const folder = entryFolder(cache, platform);
  try {
    await withStage(cache, async (aside) => {
      // A directory cannot be renamed over a full one: the old one steps aside first.
      await rename(folder, join(aside, 'old')).catch(() => undefined);
      await rename(finished, folder);
    });
  } catch (error) {
    // Another install was faster: its engine is as good.
    if (errorCode(error) === 'ENOTEMPTY' || errorCode(error) === 'EEXIST') {
      return;
    }
    log(`not kept in the cache: ${errorMessage(error)}`);
  }
}

function entryFolder(cache: string, platform: string): string {
  return join(cache, `tfjs-node-${TFJS_NODE.version}-${platform}`);
}
