// Which files of a repository are fetched: what kvgen reads of a model, or what a pattern names. Knows nothing of where they
// come from and go to.

import { KvgenError, shown } from '../errors.js';
import { isInside } from './listing.js';

/** Small files, in the order in which they are fetched. */
const COMPANIONS = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'vocab.json',
  'merges.txt',
  'vocab.txt',
  'special_tokens_map.json',
  'added_tokens.json',
  'spiece.model',
  'tokenizer.model',
  'chat_template.jinja',
] as const;

/** Weights, the first of which is taken. Of an index, the files that it names are fetched too. */
const WEIGHTS = [
  'model.safetensors',
  'model.safetensors.index.json',
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
  'ckpt.pt',
] as const;
/** What a repository with adapter_config.json has besides, or instead. */
const ADAPTERS = ['adapter_model.safetensors', 'adapter_model.bin'] as const;
export const ADAPTER_CONFIG = 'adapter_config.json';

interface WithPath {
  readonly path: string;
}

export interface Wanted<F extends WithPath> {
  readonly files: readonly F[];
  /** One of them, which names further ones: `shardsOf` finds them. */
  readonly index: F | undefined;
}

/** What kvgen reads of a model. @throws KvgenError that says what is there instead, `where` it was looked for */
export function wantedFiles<F extends WithPath>(
  files: readonly F[],
  folders: readonly string[],
  where: string,
): Wanted<F> {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const first = (names: readonly string[]) => names.map((name) => byPath.get(name)).find((file) => file !== undefined);
  const adapterConfig = byPath.get(ADAPTER_CONFIG);
  const adapter = adapterConfig && first(ADAPTERS);
  const weights = first(WEIGHTS);
  if (weights === undefined && adapter === undefined) {
    const gguf = files.filter(({ path }) => path.endsWith('.gguf'));
    if (gguf.length === 1) {
      return { files: gguf, index: undefined }; // it holds the whole model
    }
    throw new KvgenError(`${where}: no weights that kvgen reads; ${whatIsThere(files, folders)}`);
  }
  if (adapter === undefined && weights?.path !== 'ckpt.pt' && !byPath.has('config.json')) {
    throw new KvgenError(`${where}: weights without config.json, so no model; --file names files to be fetched anyway`);
  }
  const companions = COMPANIONS.map((name) => byPath.get(name));
  const wanted = [...companions, adapter && adapterConfig, adapter, weights].filter((file) => file !== undefined);
  return { files: wanted, index: weights?.path.endsWith('.index.json') ? weights : undefined };
}

/** @throws KvgenError if there are none */
export function matchingFiles<F extends WithPath>(
  files: readonly F[],
  patterns: readonly string[],
  where: string,
): readonly F[] {
  const matching = files.filter(({ path }) => patterns.some((pattern) => matches(path, pattern)));
  const missed = patterns.find((pattern) => !files.some(({ path }) => matches(path, pattern)));
  if (missed !== undefined) {
    throw new KvgenError(`${where}: no file matches ${shown(missed)}; it has ${namesOf(files)}`);
  }
  return matching;
}

/** The files that an index names. @param json its text @throws KvgenError for what is none, and for files that are not there */
export function shardsOf<F extends WithPath>(json: string, index: WithPath, files: readonly F[], where: string): F[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  return shardNames(json, `${where}: ${index.path}`).map((name) => {
    const file = byPath.get(name);
    if (file === undefined) {
      throw new KvgenError(`${where}: ${index.path} names ${shown(name)}, which is not there`);
    }
    return file;
  });
}

function shardNames(json: string, where: string): string[] {
  const names = new Set<unknown>(Object.values(weightMap(json, where)));
  const isName = (name: unknown): name is string => typeof name === 'string' && isInside(name);
  const wrong = [...names].find((name) => !isName(name));
  if (names.size === 0 || wrong !== undefined) {
    throw new KvgenError(`${where}: weight_map must name files, found ${shown(wrong)}`);
  }
  return [...names].filter(isName).sort();
}

function weightMap(json: string, where: string): object {
  let index: unknown;
  try {
    index = JSON.parse(json);
  } catch {
    throw new KvgenError(`${where}: expected JSON`);
  }
  const map = typeof index === 'object' && index !== null && 'weight_map' in index ? index.weight_map : undefined;
  if (typeof map !== 'object' || map === null) {
    throw new KvgenError(`${where}: weight_map must be an object, found ${shown(map)}`);
  }
  return map;
}

/**
 * A file's name must mean the same on every machine and in every message.
 * @throws KvgenError for names that could be another file's, or more than a name
 */
export function checkNames(files: readonly WithPath[], where: string): void {
  const folded = new Map<string, string>();
  for (const { path } of files) {
    if (
      /[\\\p{Cc}\p{Cf}\p{Surrogate}\u2028\u2029]/u.test(path) ||
      (process.platform === 'win32' && isWindowsName(path))
    ) {
      throw new KvgenError(`${where}: ${shown(path)} has characters that a file's name cannot have everywhere`);
    }
    const same = path.normalize('NFC').toLowerCase();
    const other = folded.get(same);
    if (other !== undefined) {
      throw new KvgenError(
        `${where}: ${shown(other)} and ${shown(path)} are one file on some disks; name one with --file`,
      );
    }
    folded.set(same, path);
  }
}

/** Names that Windows takes for something else: streams, devices, names without their last dot. */
function isWindowsName(path: string): boolean {
  return /[:*?"<>|]|[. ](\/|$)|(^|\/)(con|prn|aux|nul|com\d|lpt\d)(\.|\/|$)/i.test(path);
}

/** Does a path match a pattern, in which `*` stands for any characters, `/` too, and `?` for one? In time of their product. */
export function matches(path: string, pattern: string): boolean {
  let [at, next] = [0, 0];
  let star: { readonly next: number; at: number } | undefined;
  while (at < path.length) {
    if (pattern[next] === '*') {
      star = { next: ++next, at };
    } else if (next < pattern.length && (pattern[next] === '?' || pattern[next] === path[at])) {
      next++;
      at++;
    } else if (star !== undefined) {
      at = ++star.at; // the star stands for one character more
      next = star.next;
    } else {
      return false;
    }
  }
  return /^\**$/.test(pattern.slice(next));
}

const FORMATS: readonly (readonly [RegExp, string])[] = [
  [/\.onnx(_data)?$|^onnx$/, 'ONNX'],
  [/^tf_model.*\.h5$|^saved_model$/, 'TensorFlow'],
  [/^flax_model.*\.msgpack$/, 'Flax'],
  [/^rust_model\.ot$/, 'rust-bert'],
  [/\.(mlmodel|mlpackage)$|^coreml$/, 'Core ML'],
  [/\.tflite$/, 'TFLite'],
  [/\.safetensors$/, 'safetensors of other names'],
  [/\.(bin|pt|pth|ckpt)$/, 'PyTorch files of other names'],
];

/** In a few words: formats that are known, else names. */
function whatIsThere(files: readonly WithPath[], folders: readonly string[]): string {
  const names = [...files.map(({ path }) => path), ...folders];
  const gguf = files.filter(({ path }) => path.endsWith('.gguf'));
  const formats = FORMATS.filter(([name]) => names.some((path) => name.test(path))).map(([, format]) => format);
  const [choice] = [...gguf.filter(({ path }) => /q8_0/i.test(path)), ...gguf];
  if (choice !== undefined) {
    return `it has ${gguf.length} GGUF files; --file ${shown(choice.path)} fetches one of them`;
  }
  const parts = [...folders.map((path) => ({ path: `${path}/` })), ...files];
  return `it has ${formats.length > 0 ? formats.join(', ') : namesOf(parts)}; --file fetches files by name`;
}

function namesOf(files: readonly WithPath[]): string {
  const few = files.slice(0, 5).map(({ path }) => path);
  return files.length === 0 ? 'no files' : `${few.join(', ')}${files.length > few.length ? ', …' : ''}`;
}
