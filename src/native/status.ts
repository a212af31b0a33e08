// What a start of the program asks of native/: where kvgen and its engine are, whether a native one is in place, and how
// many threads it has, which it sets in the environment. The answers come from a few small files: nothing on disk is
// changed, and TensorFlow is not loaded. Knows nothing of how an engine is installed.

import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KvgenError } from '../errors.js';
import { CONFIG } from '../files/file-kinds.js';
import { readSmallFile } from '../files/open-file.js';
import { NAPI_VERSION, TFJS_NODE } from './pins.js';

interface NativeStatus {
  readonly engine: 'native';
  /** The tfjs-node folder, as an absolute path for `require`. */
  readonly folder: string;
  /** TensorFlow's version. */
  readonly tensorflow: string;
}

export type Status = NativeStatus | { readonly engine: 'none' };

/**
 * Only an engine with kvgen's record counts: its libraries came from a wheel with the pinned hash. What tfjs-node's own install
 * script has downloaded was compared with no hash by anybody, so it is never loaded.
 */
export function status(root = packageRoot()): Status {
  const folders = [npmFolder(root), privateFolder(root)].filter((folder) => folder !== undefined);
  return folders.flatMap((folder) => engineIn(folder) ?? [])[0] ?? { engine: 'none' };
}

function engineIn(folder: string): NativeStatus | undefined {
  const record = readRecord(folder);
  return record?.tfjsNode === TFJS_NODE.version
    ? { engine: 'native', folder, tensorflow: record.tensorflow }
    : undefined;
}

/** @throws KvgenError where there is none */
export function installedEngine(): NativeStatus {
  const native = status();
  if (native.engine === 'none') {
    throw new KvgenError('the native engine is not installed; run `kvgen setup`, or use --backend simd');
  }
  return native;
}

/** The backend that `auto` stands for. */
export function autoBackend(): 'node' | 'simd' {
  return status().engine === 'native' ? 'node' : 'simd';
}

export function describeEngine(status: Status): string {
  if (status.engine === 'native') {
    return `native engine in place: TensorFlow ${status.tensorflow} (TensorFlow's wheel)`;
  }
  return 'no native engine: kvgen runs on its own WebAssembly engine; "kvgen setup" tries again';
}

export const BINDING = `lib/napi-v${NAPI_VERSION}/tfjs_binding.node`;

/** What kvgen writes beside an engine that it has checked. The engine is whole as long as its files agree with this. */
export interface NativeRecord {
  readonly tfjsNode: string;
  readonly tensorflow: string;
  /** Where the libraries came from. Records with other words are of a kvgen that took what nobody had checked. */
  readonly source: 'wheel';
  /** Paths are relative to the folder, with forward slashes. Sizes are in bytes. */
  readonly files: readonly { readonly path: string; readonly size: number; readonly sha256: string }[];
}

export const RECORD = 'kvgen-native.json';

/** The record of a folder whose files all have the recorded sizes. Their content is not read. */
export function readRecord(folder: string): NativeRecord | undefined {
  const record = parseRecord(folder);
  return record?.files.every((file) => sizeOf(join(folder, file.path)) === file.size) ? record : undefined;
}

function parseRecord(folder: string): NativeRecord | undefined {
  try {
    const value: unknown = JSON.parse(readSmallFile(join(folder, RECORD), CONFIG).toString());
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is NativeRecord {
  const record = value as Partial<NativeRecord> | null;
  return (
    typeof record?.tfjsNode === 'string' &&
    typeof record.tensorflow === 'string' &&
    record.source === 'wheel' &&
    Array.isArray(record.files) &&
    record.files.length > 0 &&
    record.files.every((file) => isInside(file.path) && typeof file.sha256 === 'string')
  );
}

function isInside(path: unknown): boolean {
  return typeof path === 'string' && !path.startsWith('/') && !path.split(/[\\/]/).includes('..');
}

/** In bytes; undefined for anything but a regular file. */
export function sizeOf(path: string): number | undefined {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  return stats?.isFile() ? stats.size : undefined;
}

/** The folder of kvgen's package.json. This file lies two folders below it, in src/native/ or dist/native/. */
export function packageRoot(): string {
  return dirname(dirname(dirname(fileURLToPath(import.meta.url))));
}

export function kvgenVersion(): string {
  return JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')).version;
}

/** Was kvgen itself installed as somebody's dependency (or globally), rather than checked out? */
export function isDependency(root: string): boolean {
  return basename(dirname(root)) === 'node_modules';
}

/** Where npm puts tfjs-node in a checkout. */
export function ownFolder(root: string): string {
  return join(root, 'node_modules', TFJS_NODE.name);
}

/** npm does not touch names with a dot, and `require` from this folder still finds kvgen's one copy of TF.js. */
export function privateFolder(root: string): string {
  return join(root, 'node_modules', '.kvgen', 'tfjs-node');
}

/** The tfjs-node folder that a `require` in kvgen would find. */
export function npmFolder(root: string): string | undefined {
  return upwards(root)
    .map(ownFolder)
    .find((folder) => existsSync(join(folder, 'package.json')));
}

/** The folder itself and all folders above it, up to the root of the file system. */
export function upwards(folder: string): string[] {
  const parent = dirname(folder);
  return parent === folder ? [folder] : [folder, ...upwards(parent)];
}

/** `<user cache>/kvgen/native`, or undefined for a user without a home. */
export async function nativeCacheFolder(): Promise<string | undefined> {
  try {
    // Loaded only here, because it asks for the home directory while it loads, and throws where there is none.
    const { default: envPaths } = await import('env-paths');
    const { cache } = envPaths('kvgen', { suffix: '' });
    return isAbsolute(cache) ? join(cache, 'native') : undefined;
  } catch {
    return undefined;
  }
}

export interface ThreadChoice {
  /** undefined: all cores, or one for a small model. */
  readonly threads?: number | undefined;
  /** The size of the stored weights. */
  readonly modelBytes: number;
  /** A captured graph does the work: its ops run at the same time, each on one thread. */
  readonly graph: boolean;
}

/** In a model smaller than this, an op is finished before a second thread has woken up. */
const SMALL_MODEL_BYTES = 64e6;

/** The variables that TensorFlow's library reads while it loads. Those that the user has set are kept. */
function environmentFor({ threads, modelBytes, graph }: ThreadChoice) {
  const { env } = process;
  const isSmall = modelBytes < SMALL_MODEL_BYTES;
  const count = String(threads ?? (isSmall ? 1 : availableParallelism()));
  const intra = env.TF_NUM_INTRAOP_THREADS ?? (graph || isSmall ? '1' : count);
  return {
    TF_NUM_INTRAOP_THREADS: intra,
    TF_NUM_INTEROP_THREADS: env.TF_NUM_INTEROP_THREADS ?? count,
    OMP_NUM_THREADS: env.OMP_NUM_THREADS ?? intra,
    // On some processors the default is off. A signal during an op-by-op matrix product may then end the process.
    TF_ENABLE_ONEDNN_OPTS: env.TF_ENABLE_ONEDNN_OPTS ?? '1',
    TF_CPP_MIN_LOG_LEVEL: env.TF_CPP_MIN_LOG_LEVEL ?? '2',
  };
}

let settled: number | undefined;

/** How many threads TensorFlow has or will have. The first model of a process decides it. */
export function tensorflowThreads(choice: ThreadChoice): number {
  const { TF_NUM_INTRAOP_THREADS: intra, TF_NUM_INTEROP_THREADS: inter } = environmentFor(choice);
  return settled ?? Math.max(poolSize(intra), poolSize(inter));
}

/** Sets the environment for the library, which is loaded next. @returns how many threads it will have */
export function settleThreads(choice: ThreadChoice): number {
  settled = tensorflowThreads(choice);
  Object.assign(process.env, environmentFor(choice));
  return settled;
}

/** Reads such a variable as TensorFlow does: anything but a positive number means all cores. */
function poolSize(value: string): number {
  const count = Number(value);
  return Number.isInteger(count) && count > 0 ? count : availableParallelism();
}
