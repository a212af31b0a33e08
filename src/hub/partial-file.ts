// A file of the cache while it is fetched: bytes from its beginning, in a file that belongs to one process, which its name
// says. Taking one over is a rename, so only one process can; what a process left behind that was killed is taken over by the
// next. A finished one is renamed to its blob. Knows nothing of where the bytes come from.

import { createHash } from 'node:crypto';
import { constants, lstatSync, readlinkSync } from 'node:fs';
import { type FileHandle, lstat, open, readdir, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorCode, KvgenError } from '../errors.js';
import { systemWords } from '../files/file-errors.js';
import { CONFIG } from '../files/file-kinds.js';
import { readSmallFile } from '../files/open-file.js';

const ENDING = '.incomplete';
/** How often an owner says that it is still there, and after how long without it counts as gone; in milliseconds. */
const HEARTBEAT = 10_000;
const SILENT = 60_000;
const LOOK_AGAIN = 300;
/** Two that begin at the same moment see each other after this time. */
const SETTLE = 30;

/** Which process has it: machine, process, and when that one started, since numbers of processes come again. */
interface Owner {
  readonly machine: string;
  readonly pid: number;
  readonly started: string;
}

const PRIVATE_ENDING = /^\.([0-9a-f]{12})-(\d{1,10})-(\d{1,20})-\d{1,10}\.incomplete$/;
/** Files that this process has claimed. */
let claims = 0;

interface Found {
  readonly path: string;
  /** undefined: it has the name that huggingface_hub gives. */
  readonly owner: Owner | undefined;
  readonly size: number;
  readonly changedMs: number;
}

export interface ClaimOptions {
  readonly signal: AbortSignal;
  /** Another process is fetching the same; it has so many bytes. */
  readonly onWait: (bytes: number) => void;
}

/**
 * The partial file of a blob, with what is in it already; waits for another process that is fetching the same.
 * @returns undefined: the blob has come to be meanwhile
 * @throws KvgenError when the disk refuses; what the signal aborts with
 */
export async function claimPartial(blob: string, options: ClaimOptions): Promise<PartialFile | undefined> {
  for (;;) {
    options.signal.throwIfAborted();
    const others = await partialsOf(blob);
    const waited = await waitWhileBusy(others, options);
    if (waited && (await isThere(blob))) {
      return undefined;
    }
    const partial = waited ? undefined : await takeOver(others, blob);
    if (partial !== undefined) {
      return partial;
    }
  }
}

/** @returns whether it waited: then what there is must be looked at anew */
async function waitWhileBusy(others: readonly Found[], { signal, onWait }: ClaimOptions): Promise<boolean> {
  const busy = others.find(isBusy);
  if (busy === undefined) {
    return false;
  }
  onWait(busy.size);
  await sleep(LOOK_AGAIN, undefined, { signal }).catch(() => signal.throwIfAborted());
  return true;
}

/** @returns undefined: another one was faster */
async function takeOver(others: readonly Found[], blob: string): Promise<PartialFile | undefined> {
  const left = others.filter(isLeft).sort((a, b) => b.size - a.size);
  const own = ownPath(blob);
  const [largest] = left;
  if (largest !== undefined) {
    try {
      await rename(largest.path, own);
    } catch (error) {
      if (errorCode(error) === 'ENOENT') {
        return undefined;
      }
      throw cannotWrite(own, error);
    }
    return PartialFile.open(own, blob);
  }
  const partial = await PartialFile.open(own, blob);
  if (partial.size === 0 && (await isLaterThanAnother(partial, blob))) {
    await partial.discard();
    return undefined;
  }
  return partial;
}

/** Of two that began to fetch at the same moment, one goes on and the other waits. */
async function isLaterThanAnother(partial: PartialFile, blob: string): Promise<boolean> {
  await sleep(SETTLE);
  const all = await partialsOf(blob);
  const mine = all.find(({ path }) => path === partial.path);
  return all.some((other) => {
    if (mine === undefined || other === mine || !isBusy(other)) {
      return false;
    }
    const later = mine.changedMs - other.changedMs;
    return other.size > 0 || later > SETTLE / 2 || (Math.abs(later) <= SETTLE / 2 && other.path < mine.path);
  });
}

/** How many bytes of a blob are here that nobody needs to fetch any more. */
export async function partialSize(blob: string): Promise<number> {
  return (await partialsOf(blob)).reduce((most, { size }) => Math.max(most, size), 0);
}

export class PartialFile {
  readonly path: string;
  readonly #blob: string;
  readonly #handle: FileHandle;
  readonly #inode: number;
  readonly #heartbeat: NodeJS.Timeout;
  #size: number;
  #checked = performance.now();
  #isOpen = true;

  private constructor(path: string, blob: string, handle: FileHandle, { size, ino }: { size: number; ino: number }) {
    this.path = path;
    this.#blob = blob;
    this.#handle = handle;
    this.#size = size;
    this.#inode = ino;
    this.#heartbeat = setInterval(() => void this.#touch(), HEARTBEAT).unref();
  }

  static async open(path: string, blob: string): Promise<PartialFile> {
    const flags = constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
    let handle: FileHandle | undefined;
    try {
      handle = await open(path, flags, 0o666);
      const stats = await handle.stat();
      if (!stats.isFile()) {
        throw new KvgenError(`${path}: expected a file; remove it`);
      }
      return new PartialFile(path, blob, handle, stats);
    } catch (error) {
      await handle?.close();
      throw error instanceof KvgenError ? error : cannotWrite(path, error);
    }
  }

  /** In bytes. */
  get size(): number {
    return this.#size;
  }

  /** Its first `length` bytes, piece by piece. */
  async *pieces(length: number): AsyncGenerator<Uint8Array, void> {
    for (let from = 0; from < length; ) {
      const piece = Buffer.allocUnsafe(Math.min(1 << 20, length - from));
      const { bytesRead } = await this.#handle.read(piece, 0, piece.length, from);
      if (bytesRead === 0) {
        throw new KvgenError(`${this.path}: it became shorter while it was read; run it again`);
      }
      from += bytesRead;
      yield piece.subarray(0, bytesRead);
    }
  }

  /** Appends at once: what was fetched and not written is lost with the process. @throws KvgenError when the disk refuses */
  async append(piece: Uint8Array): Promise<void> {
    await this.#checkOwned();
    try {
      for (let done = 0; done < piece.length; ) {
        const { bytesWritten } = await this.#handle.write(piece, done, piece.length - done, this.#size);
        done += bytesWritten;
        this.#size += bytesWritten;
      }
    } catch (error) {
      throw cannotWrite(this.#blob, error);
    }
  }

  async clear(): Promise<void> {
    await this.#handle.truncate(0);
    this.#size = 0;
  }

  /** It is whole and checked: it becomes the blob. @returns false: another process has taken it */
  async publish(): Promise<boolean> {
    try {
      await this.#handle.sync();
      await this.#close();
      await rename(this.path, this.#blob);
    } catch (error) {
      if (errorCode(error) === 'ENOENT') {
        return false;
      }
      throw cannotWrite(this.#blob, error);
    }
    const left = (await partialsOf(this.#blob)).filter(isLeft); // nobody needs them any more
    await Promise.all(left.map(({ path }) => rm(path, { force: true })));
    return true;
  }

  async discard(): Promise<void> {
    await this.#close();
    await rm(this.path, { force: true });
  }

  /** Leaves what was fetched for the next run, under the name by which huggingface_hub finds it too. */
  async release(): Promise<void> {
    if (!this.#isOpen) {
      return;
    }
    await this.#close();
    if (this.#size === 0) {
      await rm(this.path, { force: true });
    } else if (!(await isThere(this.#blob + ENDING))) {
      await rename(this.path, this.#blob + ENDING).catch(() => undefined);
    }
  }

  async #close(): Promise<void> {
    if (this.#isOpen) {
      this.#isOpen = false;
      clearInterval(this.#heartbeat);
      await this.#handle.close();
    }
  }

  async #touch(): Promise<void> {
    const now = new Date();
    await this.#handle.utimes(now, now).catch(() => undefined);
  }

  /** A process that was stopped for long may have lost it to another. @throws KvgenError then */
  async #checkOwned(): Promise<void> {
    const now = performance.now();
    const pause = now - this.#checked;
    this.#checked = now;
    if (pause > HEARTBEAT && (await lstat(this.path).catch(() => undefined))?.ino !== this.#inode) {
      throw new KvgenError(`${basename(this.#blob)}: another process has gone on with it; run it again`);
    }
  }
}

/** Why the disk took no more; ENOSPC is the usual reason. */
export function cannotWrite(path: string, error: unknown): KvgenError {
  const code = errorCode(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    const what = code === 'ENOSPC' ? 'the disk is full' : 'the quota is used up';
    return new KvgenError(`${path}: ${what}; make room and run it again to go on`, { cause: error });
  }
  const words =
    code === 'EFBIG' ? 'no file may be that large here: a FAT disk, or ulimit -f' : systemWords(path, error);
  return new KvgenError(`${path}: cannot be written (${words})`, { cause: error });
}

async function partialsOf(blob: string): Promise<Found[]> {
  const [folder, start] = [dirname(blob), basename(blob)];
  const names = await readdir(folder).catch(() => []);
  const ours = names.filter((name) => name.startsWith(`${start}.`) && name.endsWith(ENDING));
  const found = await Promise.all(ours.map((name) => foundAt(join(folder, name), name.slice(start.length))));
  return found.filter((one) => one !== undefined);
}

async function foundAt(path: string, ending: string): Promise<Found | undefined> {
  const stats = await lstat(path).catch(() => undefined);
  const [, machine = '', pid, started = ''] = PRIVATE_ENDING.exec(ending) ?? [];
  const owner = pid === undefined ? undefined : { machine, pid: Number(pid), started };
  const isOne = stats?.isFile() === true && (owner !== undefined || ending === ENDING);
  return isOne ? { path, owner, size: stats.size, changedMs: stats.mtimeMs } : undefined;
}

/** Is somebody writing it, or going to? */
function isBusy({ owner, changedMs }: Found): boolean {
  return owner !== undefined && !isGone(owner) && Date.now() - changedMs < SILENT;
}

/** Has it no owner any more? One that is there and silent, as after Ctrl-Z, keeps its file. */
function isLeft(found: Found): boolean {
  const { owner, path, changedMs } = found;
  if (owner === undefined) {
    return !isPythons(path, changedMs);
  }
  return isGone(owner) || (owner.machine !== SELF.machine && Date.now() - changedMs >= SILENT);
}

/**
 * huggingface_hub locks (with flock) another file for as long as it fetches one. Linux tells which files are locked; elsewhere
 * it counts whether something was written of late.
 */
function isPythons(partial: string, changedMs: number): boolean {
  const folder = dirname(dirname(partial));
  const lock = join(dirname(folder), '.locks', basename(folder), `${basename(partial, ENDING)}.lock`);
  const inode = lstatSync(lock, { throwIfNoEntry: false })?.ino;
  const locks = readText('/proc/locks');
  if (inode === undefined || locks === undefined) {
    return inode !== undefined && Date.now() - changedMs < SILENT;
  }
  return new RegExp(`:${inode} `).test(locks);
}

/** Is it known to have ended? */
function isGone({ machine, pid, started }: Owner): boolean {
  if (machine !== SELF.machine) {
    return false;
  }
  try {
    process.kill(pid, 0);
  } catch (error) {
    return errorCode(error) === 'ESRCH';
  }
  return startOf(pid) !== started;
}

function ownPath(blob: string): string {
  return `${blob}.${SELF.machine}-${SELF.pid}-${SELF.started}-${++claims}${ENDING}`;
}

/** In ticks since the system started; 0 where the system does not say. */
function startOf(pid: number): string {
  const [, started = '0'] = /\) \w(?: -?\d+){18} (\d+)/.exec(readText(`/proc/${pid}/stat`) ?? '') ?? [];
  return started;
}

/** Where numbers of processes mean the same: this machine since it started, or a container in it. */
function machineName(): string {
  const boot = readText('/proc/sys/kernel/random/boot_id') ?? '';
  const container = process.platform === 'linux' ? linkOf('/proc/self/ns/pid') : '';
  return createHash('sha256').update(`${hostname()} ${boot} ${container}`).digest('hex').slice(0, 12);
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function readText(path: string): string | undefined {
  try {
    return readSmallFile(path, CONFIG).toString();
  } catch {
    return undefined;
  }
}

const SELF: Owner = { machine: machineName(), pid: process.pid, started: startOf(process.pid) };

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined;
}
