// What the hub says of a model: which commit a revision is, which files it has, how large they are and what they hash to. All
// that it says is checked before anything is done with it. Knows nothing of which of the files are wanted.

import { errorMessage, KvgenError, shown } from '../errors.js';
import type { HubClient } from './hub-client.js';

/** A file of a repository. */
export interface HubFile {
  /** With `/` between its parts, inside the repository: no part is empty, `.` or `..`. */
  readonly path: string;
  readonly size: number;
  /** Lower-case hex. It is the file's name among the cache's blobs, as it is its ETag on the hub. */
  readonly hash: string;
  /** SHA-256 of the bytes (large files), or git's SHA-1 of them as a blob. */
  readonly algorithm: 'sha256' | 'git-sha1';
}

export interface Listing {
  /** 40 hex digits. */
  readonly commit: string;
  readonly files: readonly HubFile[];
  /** Names of its folders. */
  readonly folders: readonly string[];
}

const MOST_FILES = 100_000;
/** A page has up to 1,000 files. */
const MOST_PAGES = 200;

/**
 * @param recursive also what is in its folders
 * @throws KvgenError for what the client refuses, and for a list that no repository can have
 */
export async function listRepository(
  client: HubClient,
  model: string,
  revision: string,
  recursive: boolean,
): Promise<Listing> {
  try {
    return await list(client, model, revision, recursive);
  } catch (error) {
    client.signal.throwIfAborted();
    throw error instanceof KvgenError
      ? error
      : new KvgenError(`${client.hub}: no answer of a hub (${errorMessage(error)})`);
  }
}

async function list(client: HubClient, model: string, revision: string, recursive: boolean): Promise<Listing> {
  const { listFiles, modelInfo } = await import('@huggingface/hub');
  const access = { hubUrl: client.hub, fetch: fetchThrough(client) };
  const { sha } = await modelInfo({ name: model, revision, additionalFields: ['sha'], ...access });
  const commit = checkCommit(sha, client.hub);
  const files: HubFile[] = [];
  const folders: string[] = [];
  let entries = 0;
  for await (const entry of listFiles({
    repo: { type: 'model', name: model },
    revision: commit,
    recursive,
    ...access,
  })) {
    if (++entries > MOST_FILES) {
      throw new KvgenError(`${model} has more than ${MOST_FILES} files; name a smaller repository`);
    }
    const { type, path } = checkEntry(entry, client.hub);
    if (type === 'directory') {
      folders.push(path);
    } else if (type === 'file') {
      files.push(checkFile(entry, path, client.hub));
    }
  }
  return { commit, files, folders };
}

/** The library's requests, made by our client. It sees successes alone: all else has been thrown. */
function fetchThrough(client: HubClient): typeof fetch {
  let pages = 0;
  return async (address) => {
    if (++pages > MOST_PAGES) {
      throw new KvgenError(`${client.hub}: the list of files does not end`);
    }
    const url = address instanceof Request ? address.url : String(address);
    if (new URL(url).origin !== new URL(client.hub).origin) {
      throw new KvgenError(`${client.hub}: the list of files goes on at ${shown(url)}, which is another host`);
    }
    const { text, headers } = await client.json(url);
    const link = headers.get('link');
    return new Response(text, { headers: { 'content-type': 'application/json', ...(link !== null && { link }) } });
  };
}

function checkCommit(commit: unknown, hub: string): string {
  if (typeof commit !== 'string' || !/^[0-9a-f]{40}$/.test(commit)) {
    throw new KvgenError(`${hub}: expected a commit of 40 hex digits, got ${shown(commit)}`);
  }
  return commit;
}

/** @param entry a claim to be an object with a type and a path */
function checkEntry(entry: unknown, hub: string): { type: unknown; path: string } {
  const { type, path } = (entry ?? {}) as Record<string, unknown>;
  if (typeof path !== 'string' || !isInside(path)) {
    throw new KvgenError(`${hub}: the list of files has ${shown(path)}, which is no path inside a repository`);
  }
  return { type, path };
}

/** git has no other paths, so a list with one comes from no repository. */
export function isInside(path: string): boolean {
  const parts = path.split('/');
  return path.length <= 4096 && !path.includes('\0') && parts.every((part) => !['', '.', '..'].includes(part));
}

function checkFile(entry: unknown, path: string, hub: string): HubFile {
  const { size, oid, lfs } = entry as Record<string, unknown>;
  const large = typeof lfs === 'object' && lfs !== null ? (lfs as Record<string, unknown>) : undefined;
  const hash = large === undefined ? oid : large.oid;
  const algorithm = large === undefined ? 'git-sha1' : 'sha256';
  const digits = large === undefined ? 40 : 64;
  const bytes = large?.size ?? size;
  if (typeof hash !== 'string' || hash.length !== digits || !/^[0-9a-f]+$/.test(hash)) {
    throw new KvgenError(`${hub}: ${shown(path)}: expected a hash of ${digits} hex digits, got ${shown(hash)}`);
  }
  if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 0) {
    throw new KvgenError(`${hub}: ${shown(path)}: expected its size in bytes, got ${shown(bytes)}`);
  }
  return { path, size: bytes, hash, algorithm };
}
