// Makes folders: those of a path, and a temporary one for as long as some work lasts. Knows nothing of what is put
// into them.

import { existsSync, mkdirSync } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errorCode } from '../errors.js';

/** @throws the system's error */
export function makeDirectories(dir: string, mode: number): void {
  if (existsSync(dir)) {
    return;
  }
  makeDirectories(dirname(dir), mode);
  makeDirectory(dir, mode);
}

/** One that is there already is left as it is, whatever it is. @throws the system's error */
export function makeDirectory(dir: string, mode: number): void {
  try {
    mkdirSync(dir, { mode });
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') {
      throw error;
    }
  }
}

const PREFIX = '.kvgen-stage-';
const DAY_MS = 24 * 60 * 60 * 1000;

export async function withStage<T>(parent: string, work: (stage: string) => Promise<T>): Promise<T> {
  await sweep(parent);
  const stage = await mkdtemp(join(parent, PREFIX));
  try {
    return await work(stage);
  } finally {
    await rm(stage, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function sweep(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    if (!name.startsWith(PREFIX)) {
      continue;
    }
    const stats = await stat(join(parent, name)).catch(() => undefined);
    if (stats !== undefined && Date.now() - stats.mtimeMs > DAY_MS) {
      await rm(join(parent, name), { recursive: true, force: true }).catch(() => undefined);
    }
  }
}
