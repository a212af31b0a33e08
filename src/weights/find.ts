// Finds the folder of a model. A path is a folder, or else owner/name in the Hugging Face cache. A name is looked up
// among the package's models, in the user's data directory, then in that cache. Never asks the network. What lies in these
// places and cannot be read is passed over: it stands in no other model's way.

import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import envPaths from 'env-paths';
import { errorMessage, KvgenError } from '../errors.js';
import { typeWords } from '../files/file-errors.js';
import { CONFIG } from '../files/file-kinds.js';
import { exists, isFolder, look, namesIn, type OnProblem } from '../files/look.js';
import { readSmallFile } from '../files/open-file.js';
import { HUB_PREFIX, hubCache, hubFolder } from '../hub/hub-cache.js';
import { isModelName } from '../hub/model-name.js';
import { ADAPTER_CONFIG } from './adapter-config.js';
import { GGUF_NAME, ggufBytes, ggufNames, isGgufModel, onlyGguf } from './gguf-choice.js';
import { CHECKPOINT_NAME } from './nano-gpt.js';
import { kindOfFile } from './what-is-here.js';

export interface FoundModel {
  readonly name: string;
  readonly dir: string;
  readonly source: 'package' | 'user' | 'hugging face cache' | 'path';
  /** The name of the GGUF file in it that is the model; undefined: it is a Hugging Face folder. */
  readonly single?: string | undefined;
}

/**
 * The model that `-m` names: a folder, or a GGUF file.
 * @param model a path if it contains a separator or is a GGUF file, else a name
 * @throws KvgenError that says where it was looked for and how to get it, or that a folder has several GGUF files
 */
export function findModel(model: string): FoundModel {
  const found = findPlace(model);
  return found.single === undefined ? { ...found, single: onlyGguf(found.dir) } : found;
}

function findPlace(model: string): FoundModel {
  if (/[/\\]/.test(model) || isGguf(model)) {
    return findPath(model);
  }
  const search = new Search();
  const found = search.named(model) ?? search.inHub(model) ?? search.other(model);
  if (found === undefined) {
    if (GGUF_NAME.test(model)) {
      throw noFile(resolve(model));
    }
    const [problem] = search.problems;
    const places = [packageModels(), userModels(), hubCache()].join(', ');
    const where = problem === undefined ? `in ${places}` : `(${problem})`;
    throw new KvgenError(
      `model '${model}' not found ${where}; \`kvgen models\` lists what is here, ` +
        `\`kvgen pull ${hubId(model)}\` fetches it, -m ./${model} names a folder`,
    );
  }
  return found;
}

export interface Listing {
  /** Those that can be given by name. Whether they load is not looked at. */
  readonly models: readonly FoundModel[];
  /** Folders in the places of models that have not the files of one. */
  readonly others: readonly FoundModel[];
  /** Why what cannot be read was passed over, a line each. */
  readonly problems: readonly string[];
}

export function listModels(): Listing {
  const search = new Search();
  const models = search.all().map(withSingle);
  const others = search.all(ANY).filter(({ dir }) => !models.some((model) => model.dir === dir));
  const { problems } = search;
  return { models, others: others.filter(({ dir }) => !problems.some((line) => line.startsWith(dir))), problems };
}

/** Of several GGUF files none is the model; whoever opens the folder is told. */
function withSingle(found: FoundModel): FoundModel {
  if (found.single !== undefined) {
    return found;
  }
  const [single, ...others] = ggufNames(found.dir);
  return others.length > 0 ? found : { ...found, single };
}

/** Is there a file of that name? */
function isGguf(path: string): boolean {
  return GGUF_NAME.test(path) && look(path, () => {})?.isDirectory() === false;
}

/** The bytes of a GGUF file, or of the files that a folder's weights are read from. */
export function weightBytes({ dir, single }: Pick<FoundModel, 'dir' | 'single'>): number {
  if (single !== undefined) {
    return ggufBytes(dir, single);
  }
  const names = namesIn(dir, () => {});
  const read = WEIGHTS_NAMES.find((name) => names.some((candidate) => name.test(candidate)));
  const files = read === undefined ? [] : names.filter((name) => read.test(name));
  return files.reduce((sum, name) => sum + (look(join(dir, name), () => {})?.size ?? 0), 0);
}

/** By format; those of the first that is there are read. */
const WEIGHTS_NAMES = [/\.safetensors$/, /^pytorch_model\.bin$/, /^pytorch_model-.*\.bin$/, /^ckpt\.pt$/];

function findPath(path: string): FoundModel {
  const dir = resolve(path);
  const search = new Search();
  if (search.isFolder(dir)) {
    return { name: basename(dir), dir, source: 'path' };
  }
  if (isGguf(dir)) {
    const single = basename(dir);
    return { name: single.replace(GGUF_NAME, ''), dir: dirname(dir), source: 'path', single };
  }
  const isName = isModelName(path);
  const inHub = isName ? (search.hubModel(hubFolder(path)) ?? search.hubModel(hubFolder(path), ANY)) : undefined;
  if (inHub === undefined) {
    const [problem] = search.problems;
    if (GGUF_NAME.test(path) && problem === undefined) {
      throw noFile(dir);
    }
    if (isName && problem === undefined && !exists(dir)) {
      const places = `neither ${dir} nor in ${hubCache()}`;
      throw new KvgenError(`model '${path}' not found (${places}); \`kvgen pull ${path}\` fetches it from the hub`);
    }
    throw new KvgenError(`model folder ${problem === undefined ? notAFolder(dir) : `${problem}; ${HOLDS}`}`);
  }
  return inHub;
}

function noFile(path: string): KvgenError {
  return new KvgenError(`${path}: there is no such file; \`kvgen models\` lists what is here`);
}

const HOLDS = 'a model folder holds config.json and model.safetensors';

/** @param dir where no folder is */
function notAFolder(dir: string): string {
  if (!look(dir, () => {})?.isFile()) {
    return `${dir}: not found or not a folder; ${HOLDS}`;
  }
  const kind = kindOfFile(basename(dir));
  return `${dir}: a file${kind === undefined ? `; name its folder: -m ${dirname(dir)}` : `: ${kind}`}`;
}

/** Which folders are looked for. */
type Accepts = (has: (name: string) => boolean, dir: string) => boolean;

const MODEL: Accepts = (has, dir) => ggufNames(dir).length > 0 || MODEL_FILES.some(has);
/** A folder with other files says what it holds when it is opened. */
const ANY: Accepts = () => true;
const MODEL_FILES = ['config.json', ADAPTER_CONFIG, CHECKPOINT_NAME];

/** Remembers what was passed over. */
class Search {
  readonly #problems = new Set<string>();
  readonly #onProblem: OnProblem = (line) => this.#problems.add(line);

  /** Why what was passed over cannot be read, a line each. */
  get problems(): readonly string[] {
    return [...this.#problems];
  }

  isFolder(dir: string): boolean {
    return isFolder(dir, this.#onProblem);
  }

  all(accepts = MODEL): FoundModel[] {
    const plain = (['package', 'user'] as const).flatMap((source) =>
      this.#names(PLACES[source]()).flatMap((name) => this.#modelIn(source, name, accepts) ?? []),
    );
    return [...plain, ...this.#hubFolders().flatMap((folder) => this.hubModel(folder, accepts) ?? [])];
  }

  /** A folder of that name among the package's or the user's. */
  named(name: string, accepts = MODEL): FoundModel | undefined {
    return ['', '.', '..'].includes(name)
      ? undefined
      : (this.#modelIn('package', name, accepts) ?? this.#modelIn('user', name, accepts));
  }

  /** A folder of that name that is no model, where nothing else was passed over. */
  other(name: string): FoundModel | undefined {
    return this.problems.length > 0 ? undefined : (this.named(name, ANY) ?? this.inHub(name, ANY));
  }

  /** `gpt2` is stored as models--gpt2, or with its owner as models--openai-community--gpt2. */
  inHub(name: string, accepts = MODEL): FoundModel | undefined {
    const exact = [HUB_PREFIX + name, `${HUB_PREFIX}openai-community--${name}`];
    const byAnyOwner = this.#hubFolders().filter((folder) => folder.endsWith(`--${name}`));
    for (const folder of [...exact, ...byAnyOwner]) {
      const found = this.hubModel(folder, accepts);
      if (found !== undefined) {
        return { ...found, name };
      }
    }
    return undefined;
  }

  /** The snapshot that the branch `main` points to, else the newest one that is a model. */
  hubModel(folder: string, accepts = MODEL): FoundModel | undefined {
    const root = join(hubCache(), folder);
    if (!this.isFolder(root)) {
      return undefined;
    }
    const snapshots = join(root, 'snapshots');
    const main = this.#mainRevision(join(root, 'refs', 'main'));
    const isThere = main !== undefined && this.isFolder(join(snapshots, main));
    const found = (isThere ? [main] : this.#newestFirst(snapshots)).find((name) =>
      this.#isAccepted(join(snapshots, name), accepts),
    );
    const name = folder.slice(HUB_PREFIX.length).replaceAll('--', '/');
    return found === undefined ? undefined : { name, dir: join(snapshots, found), source: 'hugging face cache' };
  }

  #modelIn(source: 'package' | 'user', name: string, accepts: Accepts): FoundModel | undefined {
    const place = PLACES[source]();
    const dir = join(place, name);
    if (this.isFolder(dir)) {
      return this.#isAccepted(dir, accepts) ? { name, dir, source } : undefined;
    }
    const single = GGUF_NAME.test(name) ? name : `${name}.gguf`;
    const isThere = isGgufModel(single) && isGguf(join(place, single));
    return isThere ? { name: single.replace(GGUF_NAME, ''), dir: place, source, single } : undefined;
  }

  #isAccepted(dir: string, accepts: Accepts): boolean {
    return accepts((name) => this.#isFile(join(dir, name)), dir);
  }

  #isFile(path: string): boolean {
    const stats = look(path, this.#onProblem);
    if (stats?.isFile() === false) {
      this.#onProblem(`${path}: ${typeWords(stats)}`);
    }
    return stats?.isFile() ?? false;
  }

  #mainRevision(path: string): string | undefined {
    if (!this.#isFile(path)) {
      return undefined;
    }
    try {
      const revision = readSmallFile(path, CONFIG).toString().trim();
      return /^[\w-]+$/.test(revision) ? revision : undefined;
    } catch (error) {
      this.#onProblem(errorMessage(error));
      return undefined;
    }
  }

  #newestFirst(snapshots: string): string[] {
    const found = this.#names(snapshots).flatMap((name) => {
      const stats = look(join(snapshots, name), this.#onProblem);
      return stats?.isDirectory() ? [{ name, changed: stats.mtimeMs }] : [];
    });
    return found.sort((a, b) => b.changed - a.changed).map(({ name }) => name);
  }

  #hubFolders(): string[] {
    return this.#names(hubCache()).filter((name) => name.startsWith(HUB_PREFIX));
  }

  #names(folder: string): string[] {
    return namesIn(folder, this.#onProblem);
  }
}

const PLACES = { package: packageModels, user: userModels } as const;

function packageModels(): string {
  return fileURLToPath(new URL('../../models', import.meta.url));
}

function userModels(): string {
  return join(envPaths('kvgen', { suffix: '' }).data, 'models');
}

function hubId(name: string): string {
  return /^gpt2(-|$)/.test(name) ? `openai-community/${name}` : `<owner>/${name}`;
}
