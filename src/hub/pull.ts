// Fetches a model from the hub into the Hugging Face cache: the small files and the weights first, each checked; then the
// snapshot with links to them, and last the name of the revision. So a snapshot that has a config.json is whole, and one that
// was there before stays until the new one is. Knows nothing of terminals.

import { join } from 'node:path';
import { KvgenError } from '../errors.js';
import { HubClient, PATIENCE, type Patience } from './hub-client.js';
import { PassingError } from './hub-errors.js';
import { type HubFile, type Listing, listRepository } from './listing.js';
import { isModelName } from './model-name.js';
import { partialSize } from './partial-file.js';
import { type MakeLink, RepositoryCache } from './repository-cache.js';
import { type Fetched, fetchBlob, type Progress } from './transfer.js';
import { ADAPTER_CONFIG, checkNames, matchingFiles, shardsOf, wantedFiles } from './wanted-files.js';

export interface PullOptions {
  /** Base address, as `parseHub` gives it. */
  readonly hub: string;
  readonly model: string;
  readonly revision: string;
  /** Which files; none: what kvgen reads. */
  readonly patterns: readonly string[];
  readonly token: string | undefined;
  /** The folder of all models. */
  readonly cache: string;
  readonly signal: AbortSignal;
  readonly onNote: (line: string) => void;
  readonly onProgress: (progress: Progress) => void;
  /** The text of config.json, before the weights are fetched. */
  readonly onConfig: (text: string) => void;
  /** A file is here and checked. */
  readonly onFile: (file: HubFile, fetched: Fetched) => void;
  /** For tests. */
  readonly patience?: Patience;
  readonly makeLink?: MakeLink;
}

export interface Pulled {
  /** The folder of the snapshot. */
  readonly dir: string;
  readonly commit: string;
  readonly files: readonly HubFile[];
  /** Files that were not here before. */
  readonly newFiles: number;
  readonly fetched: number;
  readonly resumed: number;
  /** The model that it is an adapter of. */
  readonly base?: string;
  /** Why the hub was not asked; the snapshot is what was fetched earlier. */
  readonly offline?: string;
}

/** @throws KvgenError for all that may go wrong on the way, in one line; what the signal aborts with */
export async function pull(options: PullOptions): Promise<Pulled> {
  const { hub, model, revision, patterns, token, signal, onNote, patience = PATIENCE } = options;
  const client = new HubClient({ hub, model, revision, token, signal, onNote, patience });
  const cache = new RepositoryCache(options.cache, model, options.makeLink);
  let listing: Listing;
  try {
    listing = await listRepository(client, model, revision, patterns.length > 0);
  } catch (error) {
    return earlierSnapshot(cache, options, error);
  }
  return new Pull(client, cache, options, listing).run();
}

class Pull {
  readonly #client: HubClient;
  readonly #cache: RepositoryCache;
  readonly #options: PullOptions;
  readonly #listing: Listing;
  #newFiles = 0;
  #fetched = 0;
  #resumed = 0;

  constructor(client: HubClient, cache: RepositoryCache, options: PullOptions, listing: Listing) {
    this.#client = client;
    this.#cache = cache;
    this.#options = options;
    this.#listing = listing;
  }

  async run(): Promise<Pulled> {
    const { model, revision, patterns } = this.#options;
    const { commit, files, folders } = this.#listing;
    const { files: first, index } =
      patterns.length > 0
        ? { files: matchingFiles(files, patterns, model), index: undefined }
        : wantedFiles(files, folders, model);
    checkNames(first, model);
    await this.#cache.prepare(commit);
    const shards = index === undefined ? [] : await this.#shards(index);
    const wanted = [...first, ...shards];
    checkNames(wanted, model);
    await this.#checkRoom(wanted);
    for (const file of wanted) {
      await this.#fetch(file);
      if (file.path === 'config.json') {
        this.#options.onConfig(await this.#text(file));
      }
    }
    await this.#link(wanted);
    await this.#cache.setRef(revision, commit);
    const base = wanted.some(({ path }) => path === ADAPTER_CONFIG) ? this.#base() : undefined;
    const counts = { newFiles: this.#newFiles, fetched: this.#fetched, resumed: this.#resumed };
    return { dir: this.#cache.snapshot(commit), commit, files: wanted, ...counts, ...(base !== undefined && { base }) };
  }

  /** What an adapter says that it belongs to; undefined: nothing that is a model of a hub. */
  #base(): string | undefined {
    try {
      const { base_model_name_or_path: base }: { base_model_name_or_path?: unknown } = JSON.parse(
        this.#cache.read(join(this.#cache.snapshot(this.#listing.commit), ADAPTER_CONFIG)),
      );
      return typeof base === 'string' && isModelName(base) ? base : undefined;
    } catch {
      return undefined; // whoever loads it will be told
    }
  }

  async #shards(index: HubFile): Promise<HubFile[]> {
    const { model } = this.#options;
    await this.#checkRoom([index]);
    await this.#fetch(index);
    return shardsOf(await this.#text(index), index, this.#listing.files, model);
  }

  /** Of a small file that is here. */
  async #text(file: HubFile): Promise<string> {
    const { commit } = this.#listing;
    const isLinked = await this.#cache.isLinked(commit, file);
    return this.#cache.read(isLinked ? join(this.#cache.snapshot(commit), file.path) : this.#cache.blob(file));
  }

  async #checkRoom(files: readonly HubFile[]): Promise<void> {
    const missing = await this.#missing(files);
    const here = await Promise.all(missing.map((file) => partialSize(this.#cache.blob(file))));
    await this.#cache.checkRoom(
      missing.reduce((sum, { size }, index) => sum + Math.max(size - (here[index] ?? 0), 0), 0),
    );
  }

  /** Each content once. */
  async #missing(files: readonly HubFile[]): Promise<HubFile[]> {
    const byHash = new Map(files.map((file) => [file.hash, file]));
    const isHere = await Promise.all([...byHash.values()].map((file) => this.#cache.has(this.#listing.commit, file)));
    return [...byHash.values()].filter((_, index) => !isHere[index]);
  }

  async #fetch(file: HubFile): Promise<void> {
    const { hub, model, onProgress, onFile } = this.#options;
    const { commit } = this.#listing;
    if (await this.#cache.has(commit, file)) {
      return;
    }
    const path = file.path.split('/').map(encodeURIComponent).join('/');
    const address = `${hub}/${model}/resolve/${commit}/${path}`;
    const fetched = await fetchBlob({ client: this.#client, address, file, blob: this.#cache.blob(file), onProgress });
    this.#newFiles++;
    this.#fetched += fetched.fetched;
    this.#resumed += fetched.resumed;
    onFile(file, fetched);
  }

  /** A folder with one of these is a model to whoever looks for one, so they come last. */
  async #link(files: readonly HubFile[]): Promise<void> {
    const last = (file: HubFile) => Number(['config.json', ADAPTER_CONFIG, 'ckpt.pt'].includes(file.path));
    for (const file of [...files].sort((a, b) => last(a) - last(b))) {
      this.#client.signal.throwIfAborted();
      await this.#cache.link(this.#listing.commit, file);
    }
  }
}

/**
 * Without a hub, what was fetched earlier is what there is, as for huggingface_hub.
 * @throws the error where it is something else, or where nothing whole is here
 */
async function earlierSnapshot(cache: RepositoryCache, options: PullOptions, error: unknown): Promise<Pulled> {
  const { model, revision, patterns, signal } = options;
  signal.throwIfAborted();
  const commit = error instanceof PassingError ? cache.ref(revision) : undefined;
  if (!(error instanceof PassingError) || commit === undefined) {
    throw error;
  }
  const dir = cache.snapshot(commit);
  const names = await cache.filesOf(commit);
  if (!isWhole(cache, dir, names, patterns, model)) {
    throw error;
  }
  return { dir, commit, files: [], newFiles: 0, fetched: 0, resumed: 0, offline: error.what };
}

function isWhole(
  cache: RepositoryCache,
  dir: string,
  names: readonly string[],
  patterns: readonly string[],
  model: string,
): boolean {
  const files = names.map((path) => ({ path }));
  try {
    if (patterns.length > 0) {
      return matchingFiles(files, patterns, model).length > 0;
    }
    const { index } = wantedFiles(files, [], model);
    return index === undefined || shardsOf(cache.read(join(dir, index.path)), index, files, model).length > 0;
  } catch (error) {
    if (error instanceof KvgenError) {
      return false;
    }
    throw error;
  }
}
