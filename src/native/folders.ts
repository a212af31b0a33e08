// Makes folders: all folders of a path, and temporary folders that are removed when the work in them is done. Knows nothing
// of what is put into them.

import { existsSync, mkdirSync } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errorCode } from '../errors.js';

/**
 * Makes a folder and those above it. Node's own `mkdir` with `recursive` never returns on a file system such as /proc, which
 * answers "no such file" although the parent exists. @throws the system's error
 */
export function makeDirectories(dir: string, mode: number): void {
  if (existsSync(dir)) {
    return;
  }
  makeDirectories(dirname(dir), mode);
  makeDirectory(dir, mode);
}

/** Leaves what is already there as it is, even if it is no folder. @throws the system's error */
export function makeDirectory(dir: string, mode: number): void {
  try {
    mkdirSync(dir, { mode });
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') {
      throw error;
    }
  }
}

const STAGE = '.kvgen-stage-';
const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * Runs the work in a temporary folder that only this user can enter, and removes the folder afterwards. It lies in `parent`,
 * where the results go too, so that finished files need only be renamed.
 */
export async function withStage<T>(parent: string, work: (stage: string) => Promise<T>): Promise<T> {
  await sweep(parent);
  const stage = await mkdtemp(join(parent, STAGE));
  try {
    return await work(stage);
  } finally {
    await rm(stage, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Removes the folders of runs that were killed. After a day nobody is using them. */
async function sweep(parent: string): Promise<void> {
  const stages = (await readdir(parent)).filter((name) => name.startsWith(STAGE));
  for (const stage of stages.map((name) => join(parent, name))) {
    const stats = await stat(stage).catch(() => undefined);
    if (stats !== undefined && Date.now() - stats.mtimeMs > DAY_MS) {
      await rm(stage, { recursive: true, force: true }).catch(() => undefined);
    }
  }
}

/** Makes a folder to find out, because some file systems refuse only the first write. @throws the system's error */
export async function checkWritable(folder: string): Promise<void> {
  await withStage(folder, async () => undefined);
}
