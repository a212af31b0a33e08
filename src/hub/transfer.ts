// Fetches one file of a repository into its blob: goes on where an earlier run ended, tries again when the connection is cut,
// and checks size and hash before the file gets its name. Knows nothing of the layout around blobs.

import { createHash, type Hash } from 'node:crypto';
import { KvgenError, megabytes } from '../errors.js';
import type { Answer, HubClient } from './hub-client.js';
import { Retries } from './hub-client.js';
import { GO_ON, PassingError } from './hub-errors.js';
import type { HubFile } from './listing.js';
import { claimPartial, type PartialFile } from './partial-file.js';

export interface Transfer {
  readonly client: HubClient;
  /** Address of the file. */
  readonly address: string;
  readonly file: HubFile;
  /** Path of the blob that it becomes. */
  readonly blob: string;
  readonly onProgress: (progress: Progress) => void;
}

export interface Progress {
  readonly file: HubFile;
  /** What is happening. */
  readonly state: 'checking' | 'fetching' | 'waiting';
  /** Bytes that are here. */
  readonly done: number;
  /** Those of them that were here before. */
  readonly resumed: number;
}

export interface Fetched {
  /** Bytes that came over the network, in all attempts. */
  readonly fetched: number;
  /** Bytes that an earlier run had left. */
  readonly resumed: number;
}

/** The file is whole, but its bytes are not those that the hub lists. */
class WrongBytesError extends KvgenError {}

/**
 * @returns once the blob is there
 * @throws KvgenError: refused, cut too often, wrong size, wrong hash, no room; what the signal aborts with
 */
export async function fetchBlob(transfer: Transfer): Promise<Fetched> {
  let before = { fetched: 0, resumed: 0 };
  for (;;) {
    const reception = await Reception.begin(transfer);
    if (reception === undefined) {
      return before; // another process has fetched it
    }
    try {
      await reception.complete();
      if (await reception.publish()) {
        return { fetched: before.fetched + reception.fetched, resumed: reception.resumed };
      }
    } catch (error) {
      if (!(error instanceof WrongBytesError) || reception.resumed === 0) {
        throw error;
      }
      transfer.client.onNote(
        `${transfer.file.path}: what an earlier run left was wrong; it is fetched from its beginning`,
      );
    } finally {
      await reception.release();
    }
    before = { fetched: before.fetched + reception.fetched, resumed: 0 };
  }
}

/** A file while it arrives: what is here of it, and its hash so far. */
class Reception {
  readonly #transfer: Transfer;
  readonly #partial: PartialFile;
  #hash: Hash;
  #resumed = 0;
  #fetched = 0;
  /** Of the last answer: what goes on must be of the same. */
  #etag: string | undefined;
  /** Does the server do what `Range` says? */
  #hasRanges = true;

  private constructor(transfer: Transfer, partial: PartialFile) {
    this.#transfer = transfer;
    this.#partial = partial;
    this.#hash = emptyHash(transfer.file);
  }

  /** @returns undefined: another process has fetched it meanwhile */
  static async begin(transfer: Transfer): Promise<Reception | undefined> {
    const { client, file, blob, onProgress } = transfer;
    const onWait = (done: number) => onProgress({ file, state: 'waiting', done, resumed: 0 });
    const partial = await claimPartial(blob, { signal: client.signal, onWait });
    if (partial === undefined) {
      return undefined;
    }
    const reception = new Reception(transfer, partial);
    try {
      await reception.#resume();
      return reception;
    } catch (error) {
      await reception.release();
      throw error;
    }
  }

  get fetched(): number {
    return this.#fetched;
  }

  get resumed(): number {
    return this.#resumed;
  }

  /** All bytes, and the right ones. */
  async complete(): Promise<void> {
    const { client, file } = this.#transfer;
    const retries = new Retries(client);
    while (this.#partial.size < file.size) {
      const before = this.#partial.size;
      try {
        await this.#receive();
      } catch (error) {
        if (this.#partial.size - before >= Math.min(1 << 16, file.size - before)) {
          retries.progressed();
        }
        await retries.failed(error);
      }
    }
    await this.#checkHash();
  }

  async publish(): Promise<boolean> {
    return this.#partial.publish();
  }

  async release(): Promise<void> {
    await this.#partial.release();
  }

  /** What an earlier run left is hashed first. */
  async #resume(): Promise<void> {
    const { client, file } = this.#transfer;
    const { size } = this.#partial;
    if (size > file.size) {
      return this.#restart();
    }
    let done = 0;
    for await (const piece of this.#partial.pieces(size)) {
      client.signal.throwIfAborted();
      this.#hash.update(piece);
      done += piece.length;
      this.#report('checking', done);
    }
    this.#resumed = size;
  }

  async #restart(): Promise<void> {
    await this.#partial.clear();
    this.#hash = emptyHash(this.#transfer.file);
    this.#resumed = 0;
  }

  /** One answer of the server, as far as it goes. */
  async #receive(): Promise<void> {
    const { client, address, file } = this.#transfer;
    const from = this.#hasRanges ? this.#partial.size : 0;
    const answer = await client.get(address, this.#rangeHeaders(from));
    try {
      if (from === 0 ? answer.status !== 200 : !this.#goesOn(answer, from)) {
        throw await this.#anew(answer);
      }
      if (answer.status === 200) {
        this.#checkLength(answer);
        await this.#restart();
      }
      this.#etag = strongEtag(answer);
      for await (const piece of answer.pieces()) {
        await this.#add(piece);
      }
    } finally {
      answer.cancel();
    }
    if (this.#partial.size < file.size) {
      const got = `${this.#partial.size} of ${file.size} bytes`;
      throw new PassingError(`${answer.url.host} ended ${file.path} after ${got}`, GO_ON);
    }
  }

  /** A range of another version of the file is no use: If-Range asks for the whole then. */
  #rangeHeaders(from: number): Record<string, string> {
    if (from === 0) {
      return {};
    }
    return { range: `bytes=${from}-`, ...(this.#etag !== undefined && { 'if-range': this.#etag }) };
  }

  /** Is the answer the rest of the file, or all of it? */
  #goesOn(answer: Answer, from: number): boolean {
    const { status, headers } = answer;
    const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get('content-range') ?? '') ?? [];
    const isRest = Number(start) === from && (total === '*' || Number(total) === this.#transfer.file.size);
    const isSame = this.#etag === undefined || strongEtag(answer) === this.#etag;
    const isPlain = ['', 'identity'].includes(headers.get('content-encoding') ?? '');
    return status === 200 || (status === 206 && isRest && isSame && isPlain);
  }

  /** What came cannot be put behind what is here. @returns why, so that it is tried from the beginning */
  async #anew(answer: Answer): Promise<PassingError> {
    this.#hasRanges = false;
    this.#etag = undefined;
    await this.#restart();
    const what = `${answer.url.host} cannot go on with ${this.#transfer.file.path} (it answers ${answer.status})`;
    return new PassingError(what, GO_ON);
  }

  /** Before anything is fetched in vain. */
  #checkLength({ headers, url }: Answer): void {
    const { path, size } = this.#transfer.file;
    const length = headers.get('content-length');
    if (length !== null && !headers.has('content-encoding') && Number(length) !== size) {
      throw new KvgenError(`${path}: the hub lists ${size} bytes, ${url.host} sends ${length}; run it again later`);
    }
  }

  async #add(piece: Uint8Array): Promise<void> {
    const { file } = this.#transfer;
    this.#fetched += piece.length;
    if (this.#partial.size + piece.length > file.size) {
      await this.#partial.discard();
      throw new KvgenError(`${file.path}: more than the ${file.size} bytes that the hub lists; what came is removed`);
    }
    await this.#partial.append(piece);
    this.#hash.update(piece);
    this.#report('fetching', this.#partial.size);
  }

  async #checkHash(): Promise<void> {
    const { file } = this.#transfer;
    const found = this.#hash.digest('hex');
    if (found !== file.hash) {
      await this.#partial.discard();
      const name = file.algorithm === 'sha256' ? 'SHA-256' : 'git hash';
      throw new WrongBytesError(
        `${file.path}: expected ${name} ${file.hash.slice(0, 16)}…, got ${found.slice(0, 16)}… (${megabytes(file.size)}); it is removed, run it again`,
      );
    }
  }

  #report(state: Progress['state'], done: number): void {
    this.#transfer.onProgress({ file: this.#transfer.file, state, done, resumed: this.#resumed });
  }
}

/** git hashes a header before the bytes of a file. */
function emptyHash({ algorithm, size }: HubFile): Hash {
  return algorithm === 'sha256' ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
}

/** Weak ones do not promise the same bytes. */
function strongEtag({ headers }: Answer): string | undefined {
  const etag = headers.get('etag');
  return etag !== null && /^"[^"]*"$/.test(etag) ? etag : undefined;
}
