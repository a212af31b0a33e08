// Where things are: this package's own folder, the tfjs-node folder it uses, and the user's cache directory.
// tfjs-node may lie in two places: where npm puts it, or in a private copy under our own node_modules/.kvgen,
// for installs where npm removes the folder again (see package.ts). Changes nothing on disk.

import { existsSync } from 'node:fs';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TFJS_NODE } from './pins.js';

/** The folder that holds kvgen's package.json (this file is src/native/… or dist/native/… inside it). */
export function packageRoot(): string {
  return dirname(dirname(dirname(fileURLToPath(import.meta.url))));
}

/** Was kvgen itself installed as somebody's dependency (or globally), rather than checked out? */
export function isDependency(root: string): boolean {
  return basename(dirname(root)) === 'node_modules';
}

/** Where npm puts tfjs-node in a checkout. */
export function ownFolder(root: string): string {
  return join(root, 'node_modules', TFJS_NODE.name);
}

/** npm leaves names with a dot alone, and `require` from here still finds kvgen's one copy of TF.js. */
export function privateFolder(root: string): string {
  return join(root, 'node_modules', '.kvgen', 'tfjs-node');
}

/** The tfjs-node folder that `require` would find from kvgen, if there is one. */
export function npmFolder(root: string): string | undefined {
  for (let folder = root; ; folder = dirname(folder)) {
    const candidate = ownFolder(folder);
    if (existsSync(join(candidate, 'package.json'))) {
      return candidate;
    }
    if (dirname(folder) === folder) {
      return undefined;
    }
  }
}

/** `<user cache>/kvgen/native`, or undefined for a user without a home. */
export async function nativeCacheFolder(): Promise<string | undefined> {
  try {
    // Loaded late: it asks for the home directory at once, and throws where there is none.
    const { default: envPaths } = await import('env-paths');
    const { cache } = envPaths('kvgen', { suffix: '' });
    return isAbsolute(cache) ? join(cache, 'native') : undefined;
  } catch {
    return undefined;
  }
}
