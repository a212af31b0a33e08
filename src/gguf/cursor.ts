// Reads little-endian values from the beginning of a file, one behind the other, through a window: so a header of megabytes
// is read in some calls, and what it claims to hold is checked against what the file has. Knows nothing of what the values
// mean.

import { KvgenError, megabytes } from '../errors.js';
import type { OpenFile } from '../files/open-file.js';

const WINDOW = 1 << 20;
const NOTHING = Buffer.alloc(0);
/** What is added to the lower 32 bits of a number, once for each of the upper ones. */
const UPPER = 2 ** 32;

export class Cursor {
  readonly #file: OpenFile;
  readonly #maxBytes: number;
  #window = NOTHING;
  /** Of the window, in bytes from the beginning of the file. */
  #start = 0;
  /** Of the next value, in bytes from the beginning of the window. */
  #at = 0;

  /** @param maxBytes how far it may come */
  constructor(file: OpenFile, maxBytes: number) {
    this.#file = file;
    this.#maxBytes = maxBytes;
  }

  /** Of the next value, in bytes from the beginning of the file. */
  get position(): number {
    return this.#start + this.#at;
  }

  /** Bytes of the file that are still to come. */
  get left(): number {
    return this.#file.size - this.position;
  }

  /** May so many bytes be taken at once? */
  has(bytes: number): boolean {
    return this.#at + bytes <= this.#window.length;
  }

  /**
   * Makes sure that so many bytes can be taken.
   * @param what they are, for messages
   * @throws KvgenError where the file has fewer, or more are asked for than there may be
   */
  async need(bytes: number, what: string): Promise<void> {
    if (this.has(bytes)) {
      return;
    }
    if (bytes > this.left) {
      const expected = `expected ${bytes} bytes for ${what} at byte ${this.position}`;
      throw this.broken(`truncated: ${expected}, found ${this.left}`);
    }
    if (this.position + bytes > this.#maxBytes) {
      throw new KvgenError(
        `${this.#file.path}: the header: expected at most ${megabytes(this.#maxBytes, 0)}, found more`,
      );
    }
    const window = Buffer.allocUnsafe(Math.min(Math.max(bytes, WINDOW), this.left));
    const found = await this.#file.read(window, this.position);
    if (found < window.length) {
      throw this.broken(`truncated: expected ${this.position + window.length} bytes`);
    }
    this.#start = this.position;
    this.#at = 0;
    this.#window = window;
  }

  /** The error that the file is no sound one. */
  broken(problem: string): KvgenError {
    return new KvgenError(`${this.#file.path}: ${problem}; download the file again`);
  }

  /** Bytes that `need` made sure of; a view of the window. */
  bytes(count: number): Buffer {
    this.#at += count;
    return this.#window.subarray(this.#at - count, this.#at);
  }

  u32(): number {
    return this.bytes(4).readUInt32LE();
  }

  /** Of more than 2^53 only the size is right, not each digit. */
  u64(): number {
    const at = this.#at;
    this.#at += 8;
    return this.#window.readUInt32LE(at) + UPPER * this.#window.readUInt32LE(at + 4);
  }

  /** Invalid bytes become U+FFFD; a U+FEFF at the beginning stays. */
  text(length: number): string {
    this.#at += length;
    return this.#window.toString('utf8', this.#at - length, this.#at);
  }
}
