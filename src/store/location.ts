// Where saved prompts and answers lie: in `<cache-dir>/kvgen/{prompts,answers}`, which must belong to this user alone. A
// link, or a folder that others own or can write to, is refused, and one above which there is such a folder. Permissions are
// never changed, since the folder may hold other things of the user. Knows nothing of what is stored.

import { lstatSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { errorCode, errorMessage, KvgenError } from '../errors.js';
import { makeDirectories, makeDirectory } from '../files/folders.js';
import { checkAbove, checkPrivate } from '../files/private-folder.js';
import type { Limits } from '../settings.js';
import type { Ledger } from './ledger.js';
import { sealedVault } from './sealed-vault.js';
import { StoreFolder } from './store-folder.js';

export type StoreKind = 'prompts' | 'answers';

export interface StoreOptions {
  /** What `openStore` returned; undefined: nothing is stored yet, and nothing will be. */
  readonly folder: StoreFolder | undefined;
  readonly write: boolean;
  readonly limits: Limits;
  /** What counts its use; undefined: nothing does. */
  readonly ledger?: Ledger | undefined;
  /** Told what was damaged, or could not be written. */
  readonly onNote: (line: string) => void;
}

const ELSEWHERE = 'choose another --cache-dir';
const ELSEWHERE_STATE = 'choose another folder with XDG_STATE_HOME';

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

/** The folder that holds what was said. @throws KvgenError for a user without one */
export async function stateRoot(): Promise<string> {
  const { default: envPaths } = await import('env-paths');
  const { data, log } = envPaths('kvgen', { suffix: '' });
  const { XDG_STATE_HOME: named = '' } = process.env;
  const root = isAbsolute(named) ? join(named, 'kvgen') : process.platform === 'linux' ? log : data;
  if (!isAbsolute(root)) {
    throw new KvgenError('no folder for the state of this user; name one with XDG_STATE_HOME');
  }
  return root;
}

/**
 * Opens the folder of one kind.
 * @param key of the sealed vault; undefined: the plain one
 * @param make make the folder if there is none yet; `onNote` is told when that fails
 * @returns undefined where there is none
 * @throws KvgenError when it is not private
 */
export function openStore(
  root: string,
  kind: StoreKind | 'chats',
  make: boolean,
  onNote: (line: string) => void,
  key?: Uint8Array,
): StoreFolder | undefined {
  const folder = join(root, kind);
  const elsewhere = kind === 'chats' ? ELSEWHERE_STATE : ELSEWHERE;
  try {
    checkAbove(root, elsewhere);
    if (make) {
      makePrivate(root, folder, elsewhere);
    }
    for (const [dir, others] of [
      [root, 'write'],
      [folder, 'read'],
    ] as const) {
      if (lstatSync(dir, { throwIfNoEntry: false }) === undefined) {
        return undefined;
      }
      checkPrivate(dir, others, elsewhere);
    }
    const plain = new StoreFolder(folder);
    return key === undefined ? plain : sealedFolder(plain, kind, key);
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

/** The same folder, seen by who has the key of its sealed files. */
export function sealedFolder({ path }: StoreFolder, kind: StoreKind | 'chats', key: Uint8Array): StoreFolder {
  return new StoreFolder(path, sealedVault(key, kind));
}

function makePrivate(root: string, folder: string, elsewhere: string): void {
  makeDirectories(dirname(root), 0o700);
  checkAbove(root, elsewhere); // somebody else may have made one of them first
  makeDirectory(root, 0o700);
  checkPrivate(root, 'write', elsewhere);
  makeDirectory(folder, 0o700);
}
