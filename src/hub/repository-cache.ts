// A model's folder in the Hugging Face cache, laid out as Python's huggingface_hub does: blobs/<hash>, snapshots/<commit>/<path>
// (relative links to blobs, or the files themselves where no links can be made), refs/<revision> (the commit). Nothing is
// written through a link. Knows nothing of the network.

import { randomUUID } from 'node:crypto';
import { copyFile, lstat, readdir, readlink, rename, rm, stat, statfs, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { errorCode, KvgenError, megabytes } from '../errors.js';
import { CONFIG, INDEX } from '../files/file-kinds.js';
import { makeDirectories, makeDirectory } from '../files/folders.js';
import { readSmallFile } from '../files/open-file.js';
import { hubFolder } from './hub-cache.js';
import type { HubFile } from './listing.js';
import { cannotWrite } from './partial-file.js';

const MODE = 0o777; // less what the user's umask takes away, as Python makes them
/** What a system answers where links cannot be made, or not by this user. */
const NO_LINKS = ['EPERM', 'EACCES', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EINVAL', 'UNKNOWN'];

export type MakeLink = (target: string, path: string) => Promise<void>;

export class RepositoryCache {
  readonly root: string;
  readonly #cache: string;
  readonly #makeLink: MakeLink;
  /** Where blobs went that stand in the snapshot themselves: two files of it may be the same. */
  readonly #moved = new Map<string, string>();

  /**
   * @param cache the folder of all models
   * @param makeLink how links are made, for tests
   */
  constructor(cache: string, model: string, makeLink: MakeLink = (target, path) => symlink(target, path)) {
    this.#cache = cache;
    this.root = join(cache, hubFolder(model));
    this.#makeLink = makeLink;
  }

  blob({ hash }: HubFile): string {
    return join(this.root, 'blobs', hash);
  }

  snapshot(commit: string): string {
    return join(this.root, 'snapshots', commit);
  }

  /** Makes the folders. @throws KvgenError where one of them is a link, or cannot be made */
  async prepare(commit: string): Promise<void> {
    try {
      makeDirectories(this.#cache, MODE);
    } catch (error) {
      throw cannotWrite(this.#cache, error);
    }
    await this.#makeInside('blobs');
    await this.#makeInside('snapshots', commit);
  }

  /** Are the bytes of a file here? A blob has its name only after its hash was checked. */
  async has(commit: string, file: HubFile): Promise<boolean> {
    return (await hasSize(this.blob(file), file.size)) || (await this.#isPlain(commit, file));
  }

  /** Does the snapshot have the file? */
  async isLinked(commit: string, file: HubFile): Promise<boolean> {
    const path = join(this.snapshot(commit), file.path);
    const target = await readlink(path).catch(() => undefined);
    const leadsToBlob = target !== undefined && resolve(dirname(path), target) === this.blob(file);
    return (leadsToBlob && (await hasSize(path, file.size))) || (await this.#isPlain(commit, file));
  }

  /** Puts the file into the snapshot. @throws KvgenError */
  async link(commit: string, file: HubFile): Promise<void> {
    if (await this.isLinked(commit, file)) {
      return;
    }
    const parts = ['snapshots', commit, ...file.path.split('/')];
    const path = join(this.root, ...parts);
    await this.#makeInside(...parts.slice(0, -1));
    const blob = this.blob(file);
    const fresh = `${blob}.${freshEnding()}`; // not in the snapshot, where a killed process would leave it as a file of the model
    try {
      await this.#makeLink(relative(dirname(path), blob), fresh).catch((error) =>
        this.#instead(error, blob, { fresh, path }),
      );
      await rename(fresh, path); // over whatever else was there, in one step
    } catch (error) {
      await rm(fresh, { force: true }).catch(() => undefined);
      throw cannotWrite(path, error);
    }
  }

  /** The revision means this commit from now on. @throws KvgenError */
  async setRef(revision: string, commit: string): Promise<void> {
    if (revision === commit || this.ref(revision) === commit) {
      return;
    }
    const parts = ['refs', ...revision.split('/')];
    await this.#makeInside(...parts.slice(0, -1));
    const path = join(this.root, ...parts);
    const fresh = join(this.root, `ref.${freshEnding()}`);
    try {
      await writeFile(fresh, commit, { flag: 'wx' });
      await rename(fresh, path);
    } catch (error) {
      await rm(fresh, { force: true }).catch(() => undefined);
      throw cannotWrite(path, error);
    }
  }

  /** The commit that a revision meant when it was last fetched. */
  ref(revision: string): string | undefined {
    const text = /^[0-9a-f]{40}$/.test(revision) ? revision : this.#text(join(this.root, 'refs', revision));
    return /^[0-9a-f]{40}$/.exec(text?.trim() ?? '')?.[0];
  }

  /** The paths of what lies in a snapshot and can be read. */
  async filesOf(commit: string): Promise<string[]> {
    const folder = this.snapshot(commit);
    const names = await readdir(folder, { recursive: true }).catch(() => []);
    const found = await Promise.all(names.map((name) => stat(join(folder, name)).catch(() => undefined)));
    return names.filter((_, index) => found[index]?.isFile()).map((name) => name.replaceAll(sep, '/'));
  }

  /** The text of a small file of a snapshot or a blob. @throws KvgenError */
  read(path: string): string {
    return readSmallFile(path, INDEX).toString();
  }

  /** @throws KvgenError where the disk has less room than is needed, in bytes */
  async checkRoom(needed: number): Promise<void> {
    const disk = await statfs(this.root).catch(() => undefined); // some file systems do not say
    const free = disk === undefined ? Number.POSITIVE_INFINITY : disk.bavail * disk.bsize;
    if (needed > free) {
      throw new KvgenError(
        `${this.root}: ${megabytes(needed)} are needed, ${megabytes(free)} are free; make room, or set HF_HOME to another disk`,
      );
    }
  }

  #text(path: string): string | undefined {
    try {
      return readSmallFile(path, CONFIG).toString();
    } catch {
      return undefined;
    }
  }

  /** Where links cannot be made the blob goes itself, as Python does it. */
  async #instead(error: unknown, blob: string, { fresh, path }: { fresh: string; path: string }): Promise<void> {
    if (!NO_LINKS.includes(errorCode(error) ?? '')) {
      throw error;
    }
    const moved = this.#moved.get(blob);
    await (moved === undefined ? rename(blob, fresh) : copyFile(moved, fresh));
    this.#moved.set(blob, moved ?? path);
  }

  /** Is it in the snapshot itself, without a blob? */
  async #isPlain(commit: string, file: HubFile): Promise<boolean> {
    const stats = await lstat(join(this.snapshot(commit), file.path)).catch(() => undefined);
    return stats?.isFile() === true && stats.size === file.size;
  }

  /** Makes folders one in the other. @throws KvgenError where there is something else, such as a link */
  async #makeInside(...parts: readonly string[]): Promise<void> {
    let dir = this.root;
    for (const part of ['', ...parts]) {
      dir = join(dir, part);
      try {
        makeDirectory(dir, MODE);
      } catch (error) {
        throw cannotWrite(dir, error);
      }
      const stats = await lstat(dir);
      if (!stats.isDirectory()) {
        const found = stats.isSymbolicLink() ? 'a link, through which nothing is written' : 'a file';
        throw new KvgenError(`${dir}: expected a folder, found ${found}; remove it`);
      }
    }
  }
}

/** Of a name that nobody else uses, for what is renamed at once. */
function freshEnding(): string {
  return `${randomUUID()}.kvgen`;
}

async function hasSize(path: string, size: number): Promise<boolean> {
  const stats = await stat(path).catch(() => undefined);
  return stats?.isFile() === true && stats.size === size;
}
