// A queue between the reader of lines of `kvgen batch` and the loop that runs their requests. Knows nothing of what is in a
// line.

import type { RequestSource } from '../../generation/generate-many.js';

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
