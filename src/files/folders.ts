// Makes folders: all folders of a path, and temporary folders that are removed when the work in them is done. Knows nothing
// of what is put into them.

import { existsSync, mkdirSync } from 'node:fs';
import { lstat, mkdtemp, readdir, rm } from 'node:fs/promises';
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
/** No run goes longer without writing something. */
const ABANDONED_MS = 60 * 60 * 1000;

/**
 * Runs the work in a temporary folder that only this user can enter, and removes the folder afterwards. It lies in `parent`,
 * where the results go too, so that finished files need only be renamed.
 */
export async function withStage<T>(parent: string, work: (stage: string) => Promise<T>): Promise<T> {
  await sweep(parent, (name) => name.startsWith(STAGE));
  const stage = await mkdtemp(join(parent, STAGE));
  try {
    return await work(stage);
  } finally {
    await rm(stage, { recursive: true, force: true, maxRetries: 3 });
  }
}

/**
 * Removes the temporary folders of runs that were killed: those of this user in `parent` in which nothing has changed for an hour.
 * @param isTemporary whether a name is one that only such a folder has
 */
export async function sweep(parent: string, isTemporary: (name: string) => boolean): Promise<void> {
  const user = process.geteuid?.();
  const names = await readdir(parent).catch(() => []); // whoever makes a folder there will be told
  for (const name of names.filter(isTemporary)) {
    const folder = join(parent, name);
    const stats = await lstat(folder).catch(() => undefined);
    const isOurs = stats?.isDirectory() === true && (user === undefined || stats.uid === user);
    if (isOurs && Date.now() - (await lastChange(folder)) > ABANDONED_MS) {
      await rm(folder, { recursive: true, force: true }).catch(() => undefined);
    }
  }
}

/** In milliseconds since 1970: of the folder or anything in it. */
async function lastChange(folder: string): Promise<number> {
  const inside = await readdir(folder, { recursive: true }).catch(() => []);
  const paths = [folder, ...inside.map((name) => join(folder, name))];
  const times = await Promise.all(
    paths.map((path) =>
      lstat(path).then(
        ({ mtimeMs }) => mtimeMs,
        () => 0,
      ),
    ),
  );
  return times.reduce((latest, time) => Math.max(latest, time), 0);
}

/** Makes a folder to find out, because some file systems refuse only the first write. @throws the system's error */
export async function checkWritable(folder: string): Promise<void> {
  await withStage(folder, async () => undefined);
}
