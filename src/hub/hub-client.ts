// Asks the hub: follows redirects, gives the token to the hub alone, waits for nobody longer than it should, says what a
// refusal means. Knows nothing of models' files and of the disk.

import { setTimeout as sleep } from 'node:timers/promises';
import { KvgenError, shown } from '../errors.js';
import { gather } from '../files/chunks.js';
import { type Asked, connectionError, GO_ON, PassingError, refusal } from './hub-errors.js';
import { isSafe } from './model-name.js';

/** How long to wait, in milliseconds, and how often to try. */
export interface Patience {
  /** For the beginning of an answer, and for its next bytes. */
  readonly silence: number;
  /** Attempts after the first that fail one after the other. */
  readonly retries: number;
  /** Before the second attempt; twice as long before each next one. */
  readonly firstDelay: number;
  /** Without a byte: no further attempt after that. */
  readonly giveUp: number;
  /** The longest Retry-After that is waited for. */
  readonly longestWait: number;
}

export const PATIENCE: Patience = {
  silence: 20_000,
  retries: 5,
  firstDelay: 500,
  giveUp: 60_000,
  longestWait: 120_000,
};

export interface HubClientOptions extends Omit<Asked, 'hasToken'> {
  readonly token: string | undefined;
  readonly signal: AbortSignal;
  readonly patience: Patience;
  /** Told of waits and redirects, a line each. */
  readonly onNote: (line: string) => void;
}

/** An answer whose body has not been read. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Where it came from at last. */
  readonly url: URL;
  /** The body as it arrives, to be asked for once. @throws PassingError when it is cut or stops coming */
  pieces(): AsyncGenerator<Uint8Array, void>;
  /** Closes the connection of a body that nobody wants. */
  cancel(): void;
}

const MAX_REDIRECTS = 10;
const REDIRECTS = [301, 302, 303, 307, 308];
/** Of one answer in JSON: a page of a list of files has a few hundred kilobytes. */
const MAX_JSON_BYTES = 32e6;
/** Characters of an answer that says why not. */
const LONGEST_REASON = 2000;

export class HubClient {
  readonly hub: string;
  readonly signal: AbortSignal;
  readonly onNote: (line: string) => void;
  readonly #options: HubClientOptions;
  readonly #origin: string;
  /** Has anything been answered? Until then a failed connection means that there is no network. */
  #wasReached = false;

  constructor(options: HubClientOptions) {
    this.#options = options;
    this.hub = options.hub;
    this.signal = options.signal;
    this.onNote = options.onNote;
    this.#origin = new URL(options.hub).origin;
  }

  /**
   * GET, through redirects.
   * @returns a success, or status 416
   * @throws KvgenError that says what a refusal means, PassingError where trying again may help; what the signal aborts with
   */
  async get(address: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    let url = new URL(address, this.hub);
    let token = this.#options.token;
    for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
      token = url.origin === this.#origin ? token : undefined; // once away, it stays away
      const answer = await this.#hop(url, { ...headers, ...(token && { authorization: `Bearer ${token}` }) });
      const location = REDIRECTS.includes(answer.status) ? answer.headers.get('location') : null;
      if (location === null) {
        return answer;
      }
      await beginning(answer.pieces()); // read to its end, so that the connection serves again
      url = nextAddress(location, url);
    }
    throw new KvgenError(`${this.hub}: more than ${MAX_REDIRECTS} redirects, the last one to ${url.host}`);
  }

  /** JSON of an API, tried again where that may help. @returns it as text, and the headers it came with */
  async json(address: string): Promise<{ text: string; headers: Headers }> {
    const retries = new Retries(this);
    for (;;) {
      try {
        const answer = await this.get(address, { accept: 'application/json' });
        return { text: await readJson(answer), headers: answer.headers };
      } catch (error) {
        await retries.failed(error);
      }
    }
  }

  get patience(): Patience {
    return this.#options.patience;
  }

  /** Is it worth while to try again? */
  isPassing(error: unknown): error is PassingError {
    return error instanceof PassingError && (this.#wasReached || !error.isUnreached);
  }

  async #hop(url: URL, headers: Readonly<Record<string, string>>): Promise<Answer> {
    const silence = new Silence(this.patience.silence, url);
    const signal = AbortSignal.any([this.signal, silence.signal]);
    // What is fetched in part must be the bytes themselves, not a compressed form of them.
    const all = { 'accept-encoding': 'identity', 'user-agent': 'kvgen', ...headers };
    const response = await fetch(url, { headers: all, redirect: 'manual', signal }).catch((error) => {
      silence.over();
      this.signal.throwIfAborted();
      throw silence.error ?? connectionError(error, url);
    });
    this.#wasReached = true;
    if (!response.ok && response.status !== 416 && !REDIRECTS.includes(response.status)) {
      const said = await beginning(this.#pieces(response, url, silence));
      const { hub, model, revision, token } = this.#options;
      throw refusal(response, said, url, { hub, model, revision, hasToken: token !== undefined });
    }
    const pieces = () => this.#pieces(response, url, silence);
    return { status: response.status, headers: response.headers, url, pieces, cancel: () => silence.end() };
  }

  async *#pieces({ body }: Response, url: URL, silence: Silence): AsyncGenerator<Uint8Array, void> {
    try {
      for await (const piece of body ?? []) {
        silence.broken();
        yield piece;
        silence.broken(); // writing it took time, too
      }
    } catch (error) {
      this.signal.throwIfAborted();
      throw error instanceof KvgenError ? error : (silence.error ?? connectionError(error, url));
    } finally {
      silence.end();
    }
  }
}

function nextAddress(location: string, from: URL): URL {
  const url = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  if (url === undefined || !isSafe(url) || (url.protocol === 'http:' && from.protocol === 'https:')) {
    throw new KvgenError(`${from.origin} sends us to ${shown(location)}; expected an https address`);
  }
  return url;
}

/** Of a body that is to say something to people; as far as it comes. */
async function beginning(pieces: AsyncGenerator<Uint8Array, void>): Promise<string> {
  let text = '';
  try {
    for await (const piece of pieces) {
      text += Buffer.from(piece).toString();
      if (text.length > LONGEST_REASON) {
        break;
      }
    }
  } catch (error) {
    if (!(error instanceof PassingError)) {
      throw error;
    }
  }
  return text.slice(0, LONGEST_REASON);
}

async function readJson(answer: Answer): Promise<string> {
  let bytes = 0;
  const limited = async function* () {
    for await (const piece of answer.pieces()) {
      bytes += piece.length;
      if (bytes > MAX_JSON_BYTES) {
        throw new KvgenError(`${answer.url.origin} answers with more than ${MAX_JSON_BYTES / 1e6} MB of JSON`);
      }
      yield piece;
    }
  };
  const text = (await gather(limited())).toString();
  try {
    JSON.parse(text);
    return text;
  } catch {
    const type = answer.headers.get('content-type') ?? 'something else';
    throw new KvgenError(
      `${answer.url.origin}: expected JSON, got ${shown(type)}; is it a hub, or a login page on the way to one?`,
    );
  }
}

/** Ends an attempt when nothing comes any more. */
class Silence {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #error: PassingError | undefined;

  constructor(ms: number, url: URL) {
    this.#timer = setTimeout(() => {
      this.#error = new PassingError(`${url.origin}: nothing came for ${ms / 1000} s`, GO_ON);
      this.#controller.abort(this.#error);
    }, ms);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Why the attempt was ended; undefined: it was not. */
  get error(): PassingError | undefined {
    return this.#error;
  }

  broken(): void {
    this.#timer.refresh();
  }

  over(): void {
    clearTimeout(this.#timer);
  }

  /** Of the attempt: its connection is closed, if there still is one. */
  end(): void {
    this.over();
    this.#controller.abort();
  }
}

/** Counts failures that came one after the other, and waits longer after each. */
export class Retries {
  readonly #client: HubClient;
  #failures = 0;
  #lastProgress = performance.now();

  constructor(client: HubClient) {
    this.#client = client;
  }

  /** Something came: what failed before does not count any more. */
  progressed(): void {
    this.#failures = 0;
    this.#lastProgress = performance.now();
  }

  /** Waits for the next attempt. @throws the error where there is none; what the signal aborts with */
  async failed(error: unknown): Promise<void> {
    const { signal, patience, onNote } = this.#client;
    signal.throwIfAborted();
    if (!this.#client.isPassing(error)) {
      throw error;
    }
    const wait = this.#waitAfter(error, patience);
    if (wait === undefined) {
      throw error;
    }
    onNote(`${error.what}; trying again in ${(wait / 1000).toFixed(1)} s`);
    await sleep(wait, undefined, { signal }).catch(() => signal.throwIfAborted());
  }

  /** In milliseconds; undefined: there is no next attempt. */
  #waitAfter({ waitMs = 0 }: PassingError, { retries, firstDelay, giveUp, longestWait }: Patience): number | undefined {
    if (this.#failures >= retries || waitMs > longestWait) {
      return undefined;
    }
    if (performance.now() - this.#lastProgress > giveUp) {
      return undefined;
    }
    this.#lastProgress += waitMs; // a wait that was asked for is no silence
    const delay = firstDelay * 2 ** this.#failures++ * (0.75 + Math.random() / 2); // not all at the same moment
    return Math.max(waitMs, delay);
  }
}
