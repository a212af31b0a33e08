// Where saved prompts and answers lie: in `<cache-dir>/kvgen/{prompts,answers}`, which must belong to this user alone. A
// link, or a folder that others own or can write to, is refused. Permissions are never changed, since the folder may hold
// other things of the user. Knows nothing of what is stored.

import { lstatSync, type Stats } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { errorCode, errorMessage, KvgenError } from '../errors.js';
import { makeDirectories, makeDirectory } from '../native/folders.js';
import type { Limits } from '../settings.js';
import { StoreFolder } from './store-folder.js';

export type StoreKind = 'prompts' | 'answers';

export interface StoreOptions {
  /** What `openStore` returned; undefined: nothing is stored yet, and nothing will be. */
  readonly folder: StoreFolder | undefined;
  readonly write: boolean;
  readonly limits: Limits;
  /** Told what was damaged, or could not be written. */
  readonly onNote: (line: string) => void;
}

/** The folder that holds both kinds. @throws KvgenError for a user without a cache directory */
export async function storeRoot(cacheDir: string | undefined): Promise<string> {
  if (cacheDir !== undefined) {
    return join(resolve(cacheDir), 'kvgen');
  }
  // Loaded only here, because it asks for the home directory while it loads, and throws where there is none.
  const { default: envPaths } = await import('env-paths');
  const { cache } = envPaths('kvgen', { suffix: '' });
  if (!isAbsolute(cache)) {
    throw new KvgenError('no cache directory for this user; name one with --cache-dir');
  }
  return join(dirname(cache), 'kvgen');
}

/**
 * Opens the folder of one kind.
 * @param make make the folder if there is none yet; `onNote` is told when that fails
 * @returns undefined where there is none
 * @throws KvgenError when it is not private
 */
export function openStore(
  root: string,
  kind: StoreKind,
  make: boolean,
  onNote: (line: string) => void,
): StoreFolder | undefined {
  const folder = join(root, kind);
  try {
    if (make) {
      makePrivate(root, folder);
    }
    const parent = lstatSync(root, { throwIfNoEntry: false });
    const own = lstatSync(folder, { throwIfNoEntry: false });
    if (parent === undefined || own === undefined) {
      return undefined;
    }
    check(root, parent, 0o022, 'written to');
    check(folder, own, 0o077, 'read');
    return new StoreFolder(folder);
  } catch (error) {
    if (error instanceof KvgenError) {
      throw error;
    }
    onNote(
      `${folder}: cannot be ${make ? 'made' : 'read'} (${errorCode(error) ?? errorMessage(error)}); nothing is kept`,
    );
    return undefined;
  }
}

function makePrivate(root: string, folder: string): void {
  makeDirectories(dirname(root), 0o700);
  makeDirectory(root, 0o700);
  check(root, lstatSync(root), 0o022, 'written to');
  makeDirectory(folder, 0o700);
}

/** @param forbidden the permission bits that others must not have */
function check(dir: string, stats: Stats, forbidden: number, verb: string): void {
  const uid = process.geteuid?.();
  if (!stats.isDirectory()) {
    throw new KvgenError(
      `${dir}: expected a directory, found ${stats.isSymbolicLink() ? 'a link' : 'a file'}; remove it`,
    );
  }
  if (uid === undefined) {
    return; // On Windows a user's own directories are private by inheritance.
  }
  if (stats.uid !== uid) {
    throw new KvgenError(`${dir}: belongs to user ${stats.uid}, expected ${uid}; choose another --cache-dir`);
  }
  if ((stats.mode & forbidden) !== 0) {
    throw new KvgenError(`${dir}: can be ${verb} by others; chmod 700 it, or choose another --cache-dir`);
  }
}
