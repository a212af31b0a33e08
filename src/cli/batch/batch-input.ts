// The input of `kvgen batch`: bytes into lines, and a queue between the reader of lines and the loop that runs their
// requests. Knows nothing of what is in a line.

import { constants, createReadStream, openSync, statSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import type { RequestSource } from '../../generation/generate-many.js';

export interface Line {
  /** Counts all lines, blank ones too, from 1. */
  readonly number: number;
  readonly bytes: Buffer;
  /** Bytes of the input up to the end of the line. */
  readonly end: number;
}

/** Opens a file of lines. A thread that waits for a named pipe could not be interrupted, so it is read as a socket. */
export function openLines(path: string): Readable {
  const { O_RDONLY, O_NONBLOCK } = constants;
  return statSync(path).isFIFO()
    ? new Socket({ fd: openSync(path, O_RDONLY | O_NONBLOCK), readable: true, writable: false })
    : createReadStream(path);
}

/** Lines from pieces that may end anywhere; blank lines are left out. */
export async function* readLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Line, void> {
  let rest: Buffer[] = [];
  let number = 0;
  let read = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      const bytes = Buffer.concat([...rest, chunk.subarray(start, end)]);
      rest = [];
      start = end + 1;
      number++;
      if (!isBlank(bytes)) {
        yield { number, bytes, end: read + start };
      }
    }
    rest.push(Buffer.from(chunk.subarray(start)));
    read += chunk.length;
  }
  const bytes = Buffer.concat(rest);
  if (!isBlank(bytes)) {
    yield { number: number + 1, bytes, end: read };
  }
}

function isBlank(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 32 || byte === 9 || byte === 13);
}

/** Holds the requests that were read and are not taken yet. */
export class RequestQueue<R> implements RequestSource<R> {
  readonly #requests: Iterator<R, void>[] = [];
  readonly #signal: AbortSignal;
  #ended = false;
  #wake = () => {};

  /** @param signal when it aborts, no more requests are given out */
  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener('abort', () => this.#wake());
  }

  /** @param requests each is made when it is taken */
  push(requests: Iterator<R, void>): void {
    this.#requests.push(requests);
    this.#wake();
  }

  /** There will be no more. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  take(): R | undefined {
    while (!this.#signal.aborted && this.#requests.length > 0) {
      const next = this.#requests[0]?.next();
      if (next?.done === false) {
        return next.value;
      }
      this.#requests.shift();
    }
    return undefined;
  }

  async wait(): Promise<boolean> {
    while (this.#requests.length === 0 && !this.#ended && !this.#signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#requests.length > 0 && !this.#signal.aborted;
  }
}
