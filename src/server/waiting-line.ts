// Requests that wait for a place in the running batch, each with one text or more. They take turns: of a request with many
// texts the next one waits behind the other requests. Knows nothing of what a text is or of HTTP.

import type { RequestSource } from '../generation/generate-many.js';

/** A request in the line. */
interface Group<T> {
  /** Each is made when it is taken. */
  readonly texts: Iterator<T, void>;
  /** Texts that were not taken yet. */
  left: number;
  begun: boolean;
}

export class WaitingLine<T> implements RequestSource<T> {
  #groups: Group<T>[] = [];
  #ended = false;
  #wake = () => {};

  /** Requests of which no text was taken yet. */
  get requests(): number {
    return this.#groups.filter(({ begun }) => !begun).length;
  }

  /** Texts that were not taken yet. */
  get texts(): number {
    return this.#groups.reduce((sum, { left }) => sum + left, 0);
  }

  /** @returns takes the request out of the line: texts of it that were not taken will not be */
  enter(texts: Iterator<T, void>, count: number): () => void {
    const group = { texts, left: count, begun: false };
    this.#groups.push(group);
    this.#wake();
    return () => {
      this.#groups = this.#groups.filter((other) => other !== group);
    };
  }

  /** There will be no more. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  get isOver(): boolean {
    return this.#ended && this.#groups.length === 0;
  }

  take(): T | undefined {
    for (let group = this.#groups.shift(); group !== undefined; group = this.#groups.shift()) {
      const next = group.texts.next();
      if (next.done !== true) {
        group.left--;
        group.begun = true;
        this.#groups.push(...(group.left > 0 ? [group] : []));
        return next.value;
      }
    }
    return undefined;
  }

  async wait(): Promise<boolean> {
    while (this.#groups.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#groups.length > 0;
  }
}
