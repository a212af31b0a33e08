// What a person names as input, or pipes in: a regular file, a pipe, a terminal, the null device. A thread that waits for
// a pipe could not be interrupted, so a pipe is read as a socket is. Knows nothing of what is in it.

import { type BigIntStats, closeSync, fstatSync, statSync } from 'node:fs';
import { Socket } from 'node:net';
import { devNull } from 'node:os';
import type { Readable } from 'node:stream';
import { isatty, ReadStream } from 'node:tty';
import { KvgenError } from '../errors.js';
import { chunksOf, gather } from './chunks.js';
import { cannotRead, tooLarge, wrongType } from './file-errors.js';
import type { FileKind } from './file-kinds.js';
import { OpenFile, openAnything } from './open-file.js';

/** Input that is open. */
export interface Input {
  /** Its name in messages. */
  readonly path: string;
  /** In bytes; null: a pipe or a terminal. */
  readonly size: number | null;
  /**
   * Its bytes as they arrive, to be asked for once. They end early when `signal` aborts.
   * @throws KvgenError when reading fails, or when there are more than its kind may have
   */
  pieces(signal?: AbortSignal): AsyncGenerator<Uint8Array, void>;
  /** Once it is not needed any more, whether it was read or not. */
  close(): Promise<void>;
}

/** @throws KvgenError for a folder, a socket, a device without end, and for what cannot be opened */
export async function openInput(path: string, kind: FileKind): Promise<Input> {
  const { fd, stats } = await openAnything(path, kind);
  try {
    const { size } = checkInput(path, kind, fd, stats);
    if (size !== null) {
      return new FileInput(new OpenFile(path, kind, fd, stats));
    }
    const stream = stats.isFIFO() ? new Socket({ fd, readable: true, writable: false }) : new ReadStream(fd);
    return new StreamInput(path, kind, stream);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** All of it; closes it. @throws KvgenError as its pieces do; what `signal` aborts with */
export async function readInput(input: Input, signal?: AbortSignal): Promise<Buffer> {
  try {
    const bytes = await gather(input.pieces(signal));
    signal?.throwIfAborted();
    return bytes;
  } finally {
    await input.close();
  }
}

class FileInput implements Input {
  readonly path: string;
  readonly size: number;
  readonly #file: OpenFile;

  constructor(file: OpenFile) {
    this.path = file.path;
    this.size = file.size;
    this.#file = file;
  }

  async *pieces(signal?: AbortSignal): AsyncGenerator<Uint8Array, void> {
    for await (const piece of this.#file.pieces()) {
      if (signal?.aborted) {
        return;
      }
      yield piece;
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** A pipe or a terminal, or whatever stdin is. */
export class StreamInput implements Input {
  readonly path: string;
  readonly size: number | null;
  readonly #kind: FileKind;
  readonly #stream: Readable;

  constructor(path: string, kind: FileKind, stream: Readable, size: number | null = null) {
    this.path = path;
    this.size = size;
    this.#kind = kind;
    this.#stream = stream;
    stream.on('error', () => {}); // whoever reads it is told
  }

  async *pieces(signal?: AbortSignal): AsyncGenerator<Uint8Array, void> {
    let done = 0;
    try {
      for await (const piece of chunksOf(this.#stream, signal)) {
        done += piece.length;
        if (done > this.#kind.maxBytes) {
          throw tooLarge(this.path, this.#kind);
        }
        yield piece;
      }
    } catch (error) {
      throw error instanceof KvgenError ? error : cannotRead(this.path, this.#kind, error);
    }
  }

  async close(): Promise<void> {
    this.#stream.destroy();
  }
}

/**
 * Can it be read to an end?
 * @param fd as it was opened
 * @returns its size; null: only reading it tells
 * @throws KvgenError if not
 */
export function checkInput(
  path: string,
  kind: FileKind,
  fd: number,
  stats = fstatSync(fd, { bigint: true }),
): { size: number | null } {
  if (stats.isFIFO() || stats.isSocket() || isatty(fd)) {
    return { size: null };
  }
  if (!stats.isFile() && !isNull(stats)) {
    throw wrongType(path, kind, stats);
  }
  if (stats.size > kind.maxBytes) {
    throw tooLarge(path, kind, Number(stats.size));
  }
  return { size: Number(stats.size) };
}

function isNull({ rdev }: BigIntStats): boolean {
  const device = statSync(devNull, { bigint: true, throwIfNoEntry: false });
  return device?.isCharacterDevice() === true && device.rdev === rdev;
}
