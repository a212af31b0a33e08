// A private temporary folder for one run: 0700, removed in `finally` by whoever made it. It lies beside its
// destination, so that finished files move by renaming. A run that was killed leaves its folder behind; the
// next one sweeps those that nobody can still be using.

import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

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
