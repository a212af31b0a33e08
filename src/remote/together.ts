// Runs the requests of a source, several at the same time, and gives the events of all as they come. An event waits until the one
// before it is taken, so a slow reader slows the requests down. Knows nothing of what they ask.

import type { RequestSource } from '../generation/generate-many.js';

/** @param run gives the events of one request, and never fails; its signal aborts when nobody wants them any more */
export async function* together<R, E>(
  source: RequestSource<R>,
  concurrency: number,
  run: (request: R, signal: AbortSignal) => AsyncIterable<E>,
): AsyncGenerator<E, void> {
  const crew = new Crew<R, E>(source, concurrency, run);
  try {
    yield* crew.events();
  } finally {
    crew.leave();
  }
}

interface Waiting<E> {
  readonly event: E;
  readonly taken: () => void;
}

class Crew<R, E> {
  readonly #source: RequestSource<R>;
  readonly #concurrency: number;
  readonly #run: (request: R, signal: AbortSignal) => AsyncIterable<E>;
  readonly #gone = new AbortController();
  readonly #waiting: Waiting<E>[] = [];
  #running = 0;
  #hasMore = true;
  #failure: { readonly error: unknown } | undefined;
  /** Called when there is an event, or a request has ended. */
  #wake = () => {};
  /** Called when a request has ended. */
  #room = () => {};

  constructor(
    source: RequestSource<R>,
    concurrency: number,
    run: (request: R, signal: AbortSignal) => AsyncIterable<E>,
  ) {
    this.#source = source;
    this.#concurrency = concurrency;
    this.#run = run;
    this.#take().catch((error: unknown) => this.#fail(error));
  }

  async *events(): AsyncGenerator<E, void> {
    while (this.#hasMore || this.#running > 0 || this.#waiting.length > 0) {
      const next = this.#waiting.shift();
      if (next !== undefined) {
        yield next.event;
        next.taken();
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      if (this.#failure !== undefined) {
        throw this.#failure.error;
      }
    }
  }

  /** Nobody wants events any more. */
  leave(): void {
    this.#gone.abort();
    for (const { taken } of this.#waiting.splice(0)) {
      taken();
    }
    this.#room();
  }

  /** Takes requests as long as there are any, and room for them. */
  async #take(): Promise<void> {
    while (!this.#gone.signal.aborted) {
      if (this.#running >= this.#concurrency) {
        await new Promise<void>((resolve) => {
          this.#room = resolve;
        });
        continue;
      }
      const request = this.#source.take();
      if (request !== undefined) {
        this.#running++;
        this.#follow(request).catch((error: unknown) => this.#fail(error));
      } else if (!(await this.#source.wait())) {
        break;
      }
    }
    this.#hasMore = false;
    this.#wake();
  }

  async #follow(request: R): Promise<void> {
    try {
      for await (const event of this.#run(request, this.#gone.signal)) {
        if (this.#gone.signal.aborted) {
          return;
        }
        await new Promise<void>((taken) => {
          this.#waiting.push({ event, taken });
          this.#wake();
        });
      }
    } finally {
      this.#running--;
      this.#room();
      this.#wake();
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake();
  }
}
