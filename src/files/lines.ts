// The lines of an input, one at a time: there may be more of them than fit into memory, and one without an end. Knows
// nothing of what is in a line.

import { KvgenError, megabytes } from '../errors.js';
import type { Input } from './named-input.js';

/** Of a longer line only its place is given. */
export const MAX_LINE_BYTES = 16e6;
/** An input in which a line goes on for so long has no lines. */
const MAX_UNFINISHED_BYTES = 256e6;
const NEWLINE = 10;

export interface Line {
  /** Counts all lines, blank ones too, from 1. */
  readonly number: number;
  /** null: there are more than `MAX_LINE_BYTES`. */
  readonly bytes: Buffer | null;
  /** Bytes of the input up to the end of the line. */
  readonly end: number;
}

/**
 * The lines of an input as they arrive; blank ones are left out. They end early when `signal` aborts.
 * @throws KvgenError when reading fails, or when a line has no end
 */
export async function* linesOf(
  input: Pick<Input, 'path' | 'pieces'>,
  signal?: AbortSignal,
): AsyncGenerator<Line, void> {
  const unfinished = new Unfinished();
  let number = 1;
  let read = 0;
  for await (const piece of input.pieces(signal)) {
    let start = 0;
    for (let end = piece.indexOf(NEWLINE); end >= 0; end = piece.indexOf(NEWLINE, start)) {
      unfinished.add(piece.subarray(start, end));
      start = end + 1;
      const bytes = unfinished.take();
      if (bytes === null || !isBlank(bytes)) {
        yield { number, bytes, end: read + start };
      }
      number++;
    }
    unfinished.add(piece.subarray(start));
    read += piece.length;
    if (unfinished.length > MAX_UNFINISHED_BYTES) {
      const found = `found no end of it after ${megabytes(unfinished.length, 0)}`;
      throw new KvgenError(`${input.path}: line ${number}: expected at most ${LONGEST}, ${found}`);
    }
  }
  const bytes = unfinished.take();
  if (bytes === null || !isBlank(bytes)) {
    yield { number, bytes, end: read };
  }
}

/** How long a line may be, in words. */
export const LONGEST = megabytes(MAX_LINE_BYTES, 0);

/** The beginning of a line. */
class Unfinished {
  length = 0;
  #pieces: Uint8Array[] = [];

  add(piece: Uint8Array): void {
    this.length += piece.length;
    this.#pieces = this.length > MAX_LINE_BYTES ? [] : this.#pieces;
    if (piece.length > 0 && this.length <= MAX_LINE_BYTES) {
      this.#pieces.push(piece);
    }
  }

  /** All of it; null: too long. Another one begins. */
  take(): Buffer | null {
    const bytes = this.length > MAX_LINE_BYTES ? null : Buffer.concat(this.#pieces);
    this.length = 0;
    this.#pieces = [];
    return bytes;
  }
}

function isBlank(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 32 || byte === 9 || byte === 13);
}
