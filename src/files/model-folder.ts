// A model's folder, through which all files of the model are read. It remembers what was opened and what was looked for in
// vain: so what decides a result is known without a list that somebody would have to keep. Knows nothing of formats.

import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, KvgenError } from '../errors.js';
import type { FileKind } from './file-kinds.js';
import { refuseLfsPointer } from './lfs-pointer.js';
import { exists } from './look.js';
import { type FileState, type OpenFile, openFile, readAll, stateOf } from './open-file.js';

/** Where the files of a model are, if not all in its folder. */
export interface FolderLayout {
  /** The name of the one file that the whole model is in. */
  readonly single?: string | undefined;
  /** Which folder a file is in, where the model's files lie in several. */
  readonly folderOf?: (name: string) => string;
}

export class ModelFolder {
  readonly dir: string;
  /** Ends all reading. */
  readonly signal: AbortSignal | undefined;
  /** The name of the one file that the whole model is in, if it is; then no other file of the folder says anything of it. */
  readonly single: string | undefined;
  readonly #folderOf: (name: string) => string;
  readonly #files = new Map<string, FileState | null>();
  /** What was there when somebody asked. */
  readonly #present = new Set<string>();

  constructor(dir: string, signal?: AbortSignal, { single, folderOf = () => dir }: FolderLayout = {}) {
    this.dir = dir;
    this.#folderOf = folderOf;
    this.signal = signal;
    this.single = single;
  }

  /** What was opened or looked for, by name, as it was then; null: it was not there. */
  get files(): ReadonlyMap<string, FileState | null> {
    return this.#files;
  }

  path(name: string): string {
    return join(this.#folderOf(name), name);
  }

  /** Is there anything of that name, even if it cannot be read? */
  has(name: string): boolean {
    const isThere = exists(this.path(name));
    if (isThere) {
      this.#present.add(name);
    } else {
      this.#remember(name, null);
    }
    return isThere;
  }

  /**
   * @param name relative to the folder, from which it may lead to another
   * @returns the caller's to close; undefined: it is not there
   * @throws KvgenError for what is there and cannot be read, or is not what it was before, or is a Git LFS pointer
   */
  async open(name: string, kind: FileKind): Promise<OpenFile | undefined> {
    const file = await openFile(this.path(name), kind, this.signal).catch((error: unknown) => {
      if (error instanceof KvgenError && errorCode(error.cause) === 'ENOENT' && !this.has(name)) {
        return undefined;
      }
      throw error;
    });
    try {
      this.#remember(name, file?.state ?? null);
      if (file !== undefined) {
        await refuseLfsPointer(file);
      }
      return file;
    } catch (error) {
      await file?.close();
      throw error;
    }
  }

  /** A whole file as text; undefined: it is not there. @throws KvgenError as `open` does */
  async readText(name: string, kind: FileKind): Promise<string | undefined> {
    const file = await this.open(name, kind);
    return file === undefined ? undefined : (await readAll(file)).toString();
  }

  /** A file, piece by piece; none where it is not there. @throws KvgenError as `open` does */
  async *pieces(name: string, kind: FileKind): AsyncGenerator<Uint8Array, void> {
    const file = await this.open(name, kind);
    try {
      yield* file?.pieces() ?? [];
    } finally {
      await file?.close();
    }
  }

  /** @throws KvgenError for the first file that is not what it was when it was opened or looked for */
  async checkUnchanged(): Promise<void> {
    for (const name of this.#files.keys()) {
      this.#remember(name, await stateNow(this.path(name)));
    }
  }

  #remember(name: string, state: FileState | null): void {
    const before = this.#files.get(name);
    if ((before !== undefined && before?.text !== state?.text) || (state === null && this.#present.has(name))) {
      throw new KvgenError(`${this.path(name)}: changed while the model was being loaded; run again`);
    }
    this.#files.set(name, state);
  }
}

async function stateNow(path: string): Promise<FileState | null> {
  return stat(path, { bigint: true }).then(stateOf, () => null);
}
