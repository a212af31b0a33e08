// The rows of `kvgen batch` as they arrive: lines read no faster than their results are written, and taken as soon as
// there is room for them. Knows nothing of what is in a line.

import type { RowSource } from '../generate-rows.js';

export interface Line {
  /** From 1. */
  readonly number: number;
  readonly bytes: Buffer;
  /** Bytes of the input up to its end. */
  readonly end: number;
}

/** Lines, whatever the pieces they arrive in; blank ones are left out. */
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

/** A queue between who reads rows and who runs them. */
export class RowQueue<R> implements RowSource<R> {
  readonly #rows: R[] = [];
  readonly #signal: AbortSignal;
  #ended = false;
  #wake = () => {};

  /** @param signal from here on no row is given out */
  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener('abort', () => this.#wake());
  }

  push(row: R): void {
    this.#rows.push(row);
    this.#wake();
  }

  /** There will be no more. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  take(): R | undefined {
    return this.#signal.aborted ? undefined : this.#rows.shift();
  }

  async wait(): Promise<boolean> {
    while (this.#rows.length === 0 && !this.#ended && !this.#signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#rows.length > 0 && !this.#signal.aborted;
  }
}
