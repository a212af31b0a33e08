// A hub on this machine that answers as huggingface.co does: the API's list of files, small files from the hub itself, large
// ones through a redirect to another host. Counts what it sends, and misbehaves where it is told to.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface FakeFile {
  readonly bytes: Buffer;
  /** Is it large, so that it lies on the other host and is known by its SHA-256? */
  readonly lfs: boolean;
}

export interface FakeRepository {
  readonly commit: string;
  readonly files: Map<string, FakeFile>;
}

export interface Seen {
  readonly host: 'hub' | 'lfs';
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
  readonly ifRange: string | undefined;
}

/** Answers a request instead of the hub. @returns whether it did */
export type Misbehaviour = (seen: Seen, response: ServerResponse) => boolean | Promise<boolean>;

export class FakeHub {
  readonly repositories = new Map<string, FakeRepository>();
  readonly renamed = new Map<string, string>();
  readonly seen: Seen[] = [];
  /** Bytes of files that were sent. */
  sent = 0;
  /** Milliseconds between two pieces of a file. */
  delay = 0;
  pieceBytes = 1 << 16;
  /** Milliseconds before a connection is cut: so that what was sent arrives, on most machines. */
  beforeCut = 100;
  misbehave: Misbehaviour = () => false;
  url = '';
  lfsUrl = '';
  readonly #hub = createServer((request, response) => void this.#answer('hub', request, response));
  readonly #lfs = createServer((request, response) => void this.#answer('lfs', request, response));

  async listen(): Promise<this> {
    this.url = await listen(this.#hub);
    this.lfsUrl = await listen(this.#lfs);
    return this;
  }

  async close(): Promise<void> {
    for (const server of [this.#hub, this.#lfs]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  /** @param files texts are small files, bytes large ones */
  add(name: string, files: Record<string, string | Uint8Array>, commit = 'c'.repeat(40)): FakeRepository {
    const entries = Object.entries(files).map(([path, content]) => {
      return [path, { bytes: Buffer.from(content as Uint8Array), lfs: typeof content !== 'string' }] as const;
    });
    const repository = { commit, files: new Map(entries) };
    this.repositories.set(name, repository);
    return repository;
  }

  /** Of the requests for files, those for this one. */
  requestsFor(file: string): Seen[] {
    return this.seen.filter(
      ({ host, path }) => path.endsWith(`/${file}`) && (host === 'lfs' || path.includes('/resolve/')),
    );
  }

  async #answer(host: Seen['host'], request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { range, authorization, 'if-range': ifRange } = request.headers as Record<string, string | undefined>;
    const seen = { host, path: decodeURIComponent(request.url ?? ''), range, authorization, ifRange };
    this.seen.push(seen);
    response.on('error', () => {});
    if (!(await this.misbehave(seen, response))) {
      const answer = host === 'lfs' ? this.#file(seen, response, 'lfs') : this.#hubAnswer(seen, response);
      await answer.catch(() => response.destroy());
    }
  }

  async #hubAnswer(seen: Seen, response: ServerResponse): Promise<void> {
    const [, api, name = '', rest = ''] =
      /^(\/api\/models)?\/([\w.-]+(?:\/[\w.-]+)?)\/((?:revision|tree|resolve)\/.*)$/.exec(seen.path) ?? [];
    const target = this.renamed.get(name);
    if (target !== undefined) {
      response.writeHead(307, { location: seen.path.replace(name, target) }).end();
      return;
    }
    const repository = this.repositories.get(name);
    if (repository === undefined) {
      refuse(response, 401, 'RepoNotFound', 'Repository not found');
    } else if (api === undefined) {
      await this.#file(seen, response, 'hub');
    } else if (rest.startsWith('tree/')) {
      json(response, tree(repository, seen.path.includes('recursive=true')));
    } else if (['main', repository.commit].includes(/^revision\/([^?]*)/.exec(rest)?.[1] ?? '')) {
      const siblings = [...repository.files.keys()].map((rfilename) => ({ rfilename }));
      const lastModified = '2026-01-01T00:00:00.000Z';
      json(response, { _id: '1', id: name, sha: repository.commit, lastModified, siblings });
    } else {
      refuse(response, 404, 'RevisionNotFound', 'Invalid rev id');
    }
  }

  async #file(seen: Seen, response: ServerResponse, host: Seen['host']): Promise<void> {
    const [, name = '', path = ''] = /^\/(.+?)\/resolve\/[^/]+\/(.+)$/.exec(seen.path) ?? [];
    const repository = this.repositories.get(name);
    const file = repository?.files.get(path);
    if (repository === undefined || file === undefined) {
      refuse(response, 404, 'EntryNotFound', 'Entry not found');
      return;
    }
    const hash = hashOf(file);
    response.setHeader('x-repo-commit', repository.commit);
    if (host === 'hub' && file.lfs) {
      const location = this.lfsUrl + seen.path;
      response.writeHead(302, { location, 'x-linked-etag': `"${hash}"`, 'x-linked-size': file.bytes.length }).end();
      return;
    }
    await this.sendFile(seen, response, file.bytes, `"${host === 'hub' ? hash : hash.slice(0, 32)}"`);
  }

  /** The bytes, or the part of them that is asked for. */
  async sendFile({ range, ifRange }: Seen, response: ServerResponse, bytes: Buffer, etag: string): Promise<void> {
    const from = ifRange === undefined || ifRange === etag ? Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0) : 0;
    if (from > 0 && from >= bytes.length) {
      response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
      return;
    }
    const rest = bytes.subarray(from);
    const part = from > 0 ? { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {};
    response.writeHead(from > 0 ? 206 : 200, {
      etag,
      'content-length': rest.length,
      'accept-ranges': 'bytes',
      ...part,
    });
    await this.sendPieces(response, rest);
    response.end();
  }

  /** @param until closes the connection after so many bytes */
  async sendPieces(response: ServerResponse, bytes: Buffer, until = bytes.length): Promise<void> {
    for (let at = 0; at < until && !response.destroyed; at += this.pieceBytes) {
      const piece = bytes.subarray(at, Math.min(at + this.pieceBytes, until));
      this.sent += piece.length;
      if (!response.write(piece)) {
        await drained(response);
      }
      if (this.delay > 0) {
        await sleep(this.delay);
      }
    }
    if (until < bytes.length) {
      await sleep(this.beforeCut);
      response.destroy();
    }
  }
}

const hashes = new WeakMap<Buffer, string>();

/** As the hub lists it: SHA-256 of a large file, git's hash of a small one. */
export function hashOf({ bytes, lfs }: FakeFile): string {
  const sha1 = () => createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
  const hash = hashes.get(bytes) ?? (lfs ? createHash('sha256').update(bytes).digest('hex') : sha1());
  hashes.set(bytes, hash);
  return hash;
}

function tree({ files }: FakeRepository, recursive: boolean): unknown[] {
  const folders = new Set([...files.keys()].filter((path) => path.includes('/')).map((path) => path.split('/')[0]));
  const listed = [...files].filter(([path]) => recursive || !path.includes('/'));
  const entries = listed.map(([path, file]) => {
    const hash = hashOf(file);
    const size = file.bytes.length;
    const lfs = file.lfs ? { lfs: { oid: hash, size, pointerSize: 130 } } : {};
    return { type: 'file', path, size, oid: file.lfs ? 'e'.repeat(40) : hash, ...lfs };
  });
  return [...[...folders].map((path) => ({ type: 'directory', path, size: 0, oid: 'd'.repeat(40) })), ...entries];
}

export function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

export function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  const headers = { 'content-type': 'application/json', 'x-error-code': code, 'x-error-message': message };
  response.writeHead(status, headers).end(JSON.stringify({ error: message }));
}

async function drained(response: ServerResponse): Promise<void> {
  const settled = new AbortController();
  const { signal } = settled;
  await Promise.race([once(response, 'drain', { signal }), once(response, 'close', { signal })]).catch(() => {});
  settled.abort();
}

/** @returns its address */
async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
