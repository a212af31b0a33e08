// Asks a server over HTTP: with the key, which goes to the named address alone; again where that may help and nothing has
// come yet; never waiting longer than it should for the next byte. Knows nothing of what is asked.

import { setTimeout as sleep } from 'node:timers/promises';
import { KvgenError } from '../errors.js';
import { unlimited } from './dispatcher.js';
import { connectionError, LONGEST_REASON, PassingError, redirectError, silenceError } from './remote-errors.js';
import { beginningOf, type ServerAnswer } from './server-answer.js';

/** How often to try. */
export interface Tries {
  /** Milliseconds before the second attempt; twice as long before each next one. */
  readonly firstDelay: number;
  /** Further attempts where nothing answers. */
  readonly silent: number;
  /** Further attempts where the answer is that the server is busy. */
  readonly busy: number;
  /** The longest Retry-After that is waited for, in milliseconds. */
  readonly longestWait: number;
}

const TRIES: Tries = { firstDelay: 250, silent: 2, busy: 6, longestWait: 60_000 };

export interface ConnectionOptions {
  /** The address without /v1. */
  readonly server: string;
  readonly key?: string | undefined;
  /** Seconds without a byte after which a request is given up. */
  readonly timeout?: number | undefined;
  /** Told why it is tried again. */
  readonly onNote?: ((line: string) => void) | undefined;
  readonly tries?: Tries;
}

/** Statuses after which the same question may be answered a little later. */
const BUSY = [429, 502, 503, 504];
const REDIRECTS = [301, 302, 303, 307, 308];
const DEFAULT_TIMEOUT = 600;
/** Of the first delay: 250 ms become 8 s. */
const MOST_DOUBLINGS = 5;

export class Connection {
  readonly server: string;
  /** As messages name it. */
  readonly host: string;
  readonly #options: ConnectionOptions;
  readonly #tries: Tries;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#tries = options.tries ?? TRIES;
    this.server = options.server;
    this.host = new URL(options.server).host;
  }

  get hasKey(): boolean {
    return this.#options.key !== undefined;
  }

  get(path: string, signal?: AbortSignal): Promise<ServerAnswer> {
    return this.#ask(path, undefined, signal);
  }

  /** @throws KvgenError where there is no answer; what the signal aborts with */
  post(path: string, body: object, signal?: AbortSignal): Promise<ServerAnswer> {
    return this.#ask(path, JSON.stringify(body), signal);
  }

  async #ask(path: string, body: string | undefined, signal: AbortSignal | undefined): Promise<ServerAnswer> {
    const start = performance.now();
    for (let failures = 0; ; failures++) {
      try {
        return await this.#attempt(path, body, signal);
      } catch (error) {
        const wait =
          error instanceof PassingError ? this.#waitAfter(error, failures, performance.now() - start) : undefined;
        if (wait === undefined) {
          if (error instanceof PassingError && error.answer !== undefined) {
            return error.answer;
          }
          throw error;
        }
        this.#options.onNote?.(`${(error as Error).message}; trying again in ${(wait / 1000).toFixed(1)} s`);
        await sleep(wait, undefined, { signal }).catch(() => signal?.throwIfAborted());
      }
    }
  }

  /**
   * A server that says when to come again is asked for as long as --timeout: its line may be long.
   * @returns milliseconds; undefined: there is no next attempt
   */
  #waitAfter({ answer, waitMs = 0 }: PassingError, failures: number, elapsed: number): number | undefined {
    const { firstDelay, silent, busy, longestWait } = this.#tries;
    const { timeout = DEFAULT_TIMEOUT } = this.#options;
    const isOver = waitMs > 0 ? elapsed > 1000 * timeout : failures >= (answer === undefined ? silent : busy);
    if (isOver || waitMs > longestWait) {
      return undefined;
    }
    const delay = firstDelay * 2 ** Math.min(failures, MOST_DOUBLINGS) * (0.75 + Math.random() / 2); // not all at the same moment
    return Math.max(waitMs, delay);
  }

  async #attempt(path: string, body: string | undefined, signal: AbortSignal | undefined): Promise<ServerAnswer> {
    signal?.throwIfAborted();
    const { server, key, timeout = DEFAULT_TIMEOUT } = this.#options;
    const silence = new Silence(timeout, server);
    const request: RequestInit = {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        'accept-encoding': 'identity', // a compressed stream may come in large pieces
        'user-agent': 'kvgen',
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...(key !== undefined && { authorization: `Bearer ${key}` }),
      },
      redirect: 'manual',
      signal: AbortSignal.any([silence.signal, ...(signal === undefined ? [] : [signal])]),
      ...unlimited(),
      ...(body !== undefined && { body }),
    };
    const response = await fetch(server + path, request).catch((error: unknown) => {
      silence.over();
      signal?.throwIfAborted();
      throw silence.error ?? connectionError(error, server);
    });
    const { status, headers } = response;
    const answer = { status, headers, pieces: () => pieces(response, server, silence, signal) };
    if (REDIRECTS.includes(status)) {
      silence.end();
      throw redirectError(headers.get('location'), server, path);
    }
    if (BUSY.includes(status)) {
      throw await busyError(answer, server);
    }
    return answer;
  }
}

/** Its body is read at once, so that the connection serves again; it may be all that there will be. */
async function busyError(answer: ServerAnswer, server: string): Promise<PassingError> {
  const body = await beginningOf(answer, LONGEST_REASON);
  const { status, headers } = answer;
  const read = {
    status,
    headers,
    async *pieces() {
      yield body;
    },
  };
  const waitMs = retryAfter(headers.get('retry-after') ?? '');
  return new PassingError(`${server} answers ${status}`, { answer: read, ...(waitMs > 0 && { waitMs }) });
}

/** In milliseconds: it is a number of seconds, or a date. NaN: neither. */
function retryAfter(said: string): number {
  return /^\s*\d+(\.\d+)?\s*$/.test(said) ? 1000 * Number(said) : Date.parse(said) - Date.now();
}

async function* pieces(
  { body }: Response,
  server: string,
  silence: Silence,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void> {
  try {
    for await (const piece of body ?? []) {
      silence.pause();
      yield piece;
      silence.broken(); // what is done with it takes time, too
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw error instanceof KvgenError ? error : (silence.error ?? connectionError(error, server));
  } finally {
    silence.end();
  }
}

/** Ends a request when nothing comes any more. */
class Silence {
  readonly #controller = new AbortController();
  readonly #seconds: number;
  readonly #server: string;
  #timer: NodeJS.Timeout | undefined;
  #error: KvgenError | undefined;

  constructor(seconds: number, server: string) {
    this.#seconds = seconds;
    this.#server = server;
    this.broken();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Why the request was ended; undefined: it was not. */
  get error(): KvgenError | undefined {
    return this.#error;
  }

  /** Something came, or begins to be waited for. */
  broken(): void {
    this.over();
    this.#timer = setTimeout(() => {
      this.#error = silenceError(this.#seconds, this.#server);
      this.#controller.abort(this.#error);
    }, 1000 * this.#seconds);
  }

  /** Nothing is waited for: what has come is being read. */
  pause(): void {
    this.over();
  }

  over(): void {
    clearTimeout(this.#timer);
  }

  /** Of the request: its connection is closed, if there still is one. */
  end(): void {
    this.over();
    this.#controller.abort();
  }
}
