// THE way to open a file of a user or a model: a regular file, of no more bytes than its kind may have. Opening waits for
// nobody, and reading looks at the signal between two pieces. What a person names as input may also be a pipe: see
// named-input.ts. Knows nothing of what is in a file.

import type { BigIntStats, Stats } from 'node:fs';
import { close, closeSync, constants, fstat, fstatSync, open, openSync, read, readSync } from 'node:fs';
import { promisify } from 'node:util';
import { KvgenError } from '../errors.js';
import { gather } from './chunks.js';
import { cannotRead, tooLarge, wrongType } from './file-errors.js';
import type { FileKind } from './file-kinds.js';

const calls = { open: promisify(open), fstat: promisify(fstat), read: promisify(read), close: promisify(close) };

// O_NONBLOCK: opening a pipe must not wait for its writer. O_NOCTTY: nor may a terminal become ours. Windows has neither.
const READ_FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0);
/** Bytes of one call: the signal is looked at in between. */
const READ_BYTES = 1 << 24;
/** Bytes of a piece of a file. */
const PIECE = 1 << 20;
/** Files of /proc say that they are empty. */
const SMALLEST_PIECE = 1 << 12;

/** What the file system says of a file. It is another whenever the file is. */
export interface FileState {
  /** Device, inode, size and times. */
  readonly text: string;
  /** When it was last changed, in milliseconds since 1970. */
  readonly changedMs: number;
}

export class OpenFile {
  readonly path: string;
  /** In bytes, when it was opened. */
  readonly size: number;
  readonly state: FileState;
  /** The number of the user whose file it is. */
  readonly owner: number;
  /** With the permission bits. */
  readonly mode: number;
  readonly #kind: FileKind;
  readonly #fd: number;
  readonly #signal: AbortSignal | undefined;

  /** @param fd of a regular file; the object closes it */
  constructor(path: string, kind: FileKind, fd: number, stats: BigIntStats, signal?: AbortSignal) {
    this.path = path;
    this.size = Number(stats.size);
    this.state = stateOf(stats);
    this.owner = Number(stats.uid);
    this.mode = Number(stats.mode);
    this.#kind = kind;
    this.#fd = fd;
    this.#signal = signal;
  }

  /**
   * Fills `into` from byte `from` of the file on.
   * @returns how many bytes there were: fewer only at the end of the file
   * @throws KvgenError when reading fails; what the signal aborts with
   */
  async read(into: Uint8Array, from: number): Promise<number> {
    let done = 0;
    for (let last = -1; done < into.length && last !== 0; done += last) {
      this.#signal?.throwIfAborted();
      const length = Math.min(READ_BYTES, into.length - done);
      last = await this.#call(into, done, length, from + done);
    }
    return done;
  }

  /** The file as it is now, piece by piece. @throws KvgenError when it has become larger than its kind may be */
  async *pieces(): AsyncGenerator<Uint8Array, void> {
    for (let from = 0, atEnd = false; !atEnd; ) {
      const piece = new Uint8Array(Math.min(Math.max(this.size - from, SMALLEST_PIECE), PIECE));
      const length = await this.read(piece, from);
      from += length;
      atEnd = length < piece.length;
      if (from > this.#kind.maxBytes) {
        throw tooLarge(this.path, this.#kind);
      }
      yield piece.subarray(0, length);
    }
  }

  async close(): Promise<void> {
    await calls.close(this.#fd);
  }

  async #call(into: Uint8Array, at: number, length: number, position: number): Promise<number> {
    try {
      return (await calls.read(this.#fd, into, at, length, position)).bytesRead;
    } catch (error) {
      throw cannotRead(this.path, this.#kind, error);
    }
  }
}

/**
 * @returns the caller's to close
 * @throws KvgenError for what is no regular file, or too large, or cannot be opened (the system's error is its `cause`);
 *   what `signal` aborts with
 */
export async function openFile(path: string, kind: FileKind, signal?: AbortSignal): Promise<OpenFile> {
  signal?.throwIfAborted();
  const { fd, stats } = await openAnything(path, kind);
  try {
    checkFile(path, kind, stats);
    return new OpenFile(path, kind, fd, stats, signal);
  } catch (error) {
    await calls.close(fd);
    throw error;
  }
}

/**
 * Opens whatever has that name, without waiting for anybody.
 * @returns a descriptor, which is the caller's to close, and what the system says of it
 * @throws KvgenError
 */
export async function openAnything(path: string, kind: FileKind): Promise<{ fd: number; stats: BigIntStats }> {
  let fd: number | undefined;
  try {
    fd = await calls.open(path, READ_FLAGS);
    return { fd, stats: await calls.fstat(fd, { bigint: true }) };
  } catch (error) {
    if (fd !== undefined) {
      await calls.close(fd);
    }
    throw cannotRead(path, kind, error);
  }
}

/**
 * Fills all of `into` from byte `from` of a file on.
 * @param what is read, for messages
 * @throws KvgenError where the file is too short, or as `read` does
 */
export async function readExactly(file: OpenFile, into: Uint8Array, from: number, what: string): Promise<void> {
  const found = await file.read(into, from);
  if (found < into.length) {
    throw new KvgenError(`${what}: expected ${into.length} bytes, found ${found}; download it again`);
  }
}

/** All of it; closes it. @throws KvgenError as its pieces do */
export async function readAll(file: OpenFile): Promise<Buffer> {
  try {
    return await gather(file.pieces());
  } finally {
    await file.close();
  }
}

/** A whole small file at once, for what cannot wait. @throws KvgenError as `openFile` does */
export function readSmallFile(path: string, kind: FileKind): Buffer {
  let fd: number | undefined;
  try {
    fd = openSync(path, READ_FLAGS);
    const stats = fstatSync(fd);
    checkFile(path, kind, stats);
    const bytes = Buffer.alloc(Math.max(stats.size, SMALLEST_PIECE));
    let done = 0;
    for (let last = -1; done < bytes.length && last !== 0; done += last) {
      last = readSync(fd, bytes, done, bytes.length - done, done);
    }
    return bytes.subarray(0, done);
  } catch (error) {
    throw error instanceof KvgenError ? error : cannotRead(path, kind, error);
  } finally {
    if (fd !== undefined) {
      closeSync(fd);
    }
  }
}

/** @throws KvgenError */
function checkFile(path: string, kind: FileKind, stats: Stats | BigIntStats): void {
  if (!stats.isFile()) {
    throw wrongType(path, kind, stats);
  }
  if (stats.size > kind.maxBytes) {
    throw tooLarge(path, kind, Number(stats.size));
  }
}

export function stateOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): FileState {
  const changedNs = mtimeNs > ctimeNs ? mtimeNs : ctimeNs;
  return { text: [dev, ino, size, mtimeNs, ctimeNs].join(' '), changedMs: Number(changedNs / 1_000_000n) };
}
