// Puts a native engine in place: the one that is there, else one from the cache, else tfjs-node's own download,
// else TensorFlow's wheel and a binding built for it. Each step that fails says why in one line. Never
// loads TensorFlow in this process. (WebAssembly is what remains when nothing here worked.)

import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { errorMessage } from '../errors.js';
import { buildBinding, checkCompiler } from './build-binding.js';
import { run } from './child.js';
import { findCached, keep, openCache } from './engine-cache.js';
import { withStage } from './folders.js';
import { childEnv } from './npm.js';
import { ownDownload } from './own-download.js';
import { packageFolder } from './package.js';
import { platformName, TFJS_NODE, type Wheel, wheelFor } from './pins.js';
import { place, recordFiles, unplace, writeRecord } from './record.js';
import {
  BINDING,
  type NativeRecord,
  type NativeStatus,
  nativeCacheFolder,
  nativeFiles,
  packageRoot,
  type Source,
  type Status,
  status,
} from './status.js';
import { checkSpace, fetchWheel } from './wheel.js';

export interface ProvisionOptions {
  readonly log: (line: string) => void;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal | undefined;
  readonly root?: string;
  /** The cache folder; null for none. */
  readonly cache?: string | null;
  readonly platform?: string;
  readonly wheel?: Wheel;
}

interface Context {
  readonly log: (line: string) => void;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal | undefined;
  readonly root: string;
  /** An opened cache, or undefined when none can be used. */
  readonly cache: string | undefined;
  readonly platform: string;
  readonly wheel: Wheel | undefined;
  /** The tfjs-node folder to install into. */
  readonly folder: string;
}

/** What is in place at the end. Throws only when interrupted. */
export async function provision(options: ProvisionOptions): Promise<Status> {
  const env = options.env ?? process.env;
  const root = options.root ?? packageRoot();
  const before = status(root);
  if (before.engine === 'native' && (before.checked || (await adopt(before, env, options)))) {
    return status(root);
  }
  try {
    const folder = await packageFolder(root, { env, log: options.log, signal: options.signal });
    await checkWritable(folder);
    const platform = options.platform ?? platformName();
    const wheel = options.wheel ?? wheelFor(platform);
    const cache = await usableCache(options);
    await install({ log: options.log, env, signal: options.signal, root, cache, platform, wheel, folder });
  } catch (error) {
    options.signal?.throwIfAborted();
    options.log(errorMessage(error));
  }
  const after = status(root);
  return after.engine === 'native' && after.checked ? after : { engine: 'none' };
}

/** An engine that somebody else installed: used as it is if it works. */
async function adopt(found: NativeStatus, env: NodeJS.ProcessEnv, options: ProvisionOptions): Promise<boolean> {
  try {
    const tensorflow = await selfCheck(found.folder, env, options.signal);
    const files = await recordFiles(found.folder, nativeFiles(found.folder));
    await writeRecord(found.folder, { tfjsNode: TFJS_NODE.version, tensorflow, source: found.source, files });
    return true;
  } catch (error) {
    options.signal?.throwIfAborted();
    options.log(`${found.folder}: the engine found there does not work: ${errorMessage(error)}`);
    return false;
  }
}

async function usableCache(options: ProvisionOptions): Promise<string | undefined> {
  const folder = options.cache === undefined ? await nativeCacheFolder() : options.cache;
  if (folder === undefined || folder === null) {
    return undefined;
  }
  try {
    await openCache(folder);
    // Some file systems refuse only the first write.
    await withStage(folder, async () => undefined);
    return folder;
  } catch (error) {
    options.log(`working without a cache: ${errorMessage(error)}`);
    return undefined;
  }
}

/** Asked before anything large is downloaded. */
async function checkWritable(folder: string): Promise<void> {
  await withStage(folder, async () => undefined).catch((error: unknown) => {
    throw new Error(`cannot install into ${folder}: ${errorMessage(error)}`);
  });
}

async function install(context: Context): Promise<void> {
  if (await attempt('the cached engine', context, fromCache)) {
    return;
  }
  if (await attempt("tfjs-node's own download", context, fromDownload)) {
    return;
  }
  await attempt("TensorFlow's wheel", context, fromWheel);
}

/** True when the step put a working engine in place; false, with a line that says why, when it did not. */
async function attempt(name: string, context: Context, step: (context: Context) => Promise<boolean>): Promise<boolean> {
  try {
    return await step(context);
  } catch (error) {
    context.signal?.throwIfAborted();
    context.log(`${name}: ${errorMessage(error)}`);
    return false;
  }
}

async function fromCache(context: Context): Promise<boolean> {
  if (context.cache === undefined) {
    return false;
  }
  const cached = await findCached(context.cache, context.platform, context.log);
  if (cached === undefined) {
    return false;
  }
  await activate(cached.folder, cached.record, context);
  return true;
}

function fromDownload(context: Context): Promise<boolean> {
  return make('download', context, (stage, parts) => ownDownload(context.folder, stage, parts, context));
}

async function fromWheel(context: Context): Promise<boolean> {
  const { wheel } = context;
  if (wheel === undefined) {
    throw new Error(`none has the libraries for ${context.platform}`);
  }
  checkCompiler(context.env);
  const cache = await cacheWithRoom(context, wheel);
  return make('wheel', { ...context, cache }, async (stage, parts) => {
    await fetchWheel(wheel, stage, join(stage, 'tensorflow'), context);
    await buildBinding(context.folder, join(stage, 'tensorflow'), join(parts, BINDING), context);
    await mkdir(join(parts, 'deps'), { recursive: true });
    await rename(join(stage, 'tensorflow', 'lib'), join(parts, 'deps', 'lib'));
  });
}

/** A full disk under the cache is no reason to fail where node_modules lies on another one. */
async function cacheWithRoom(context: Context, wheel: Wheel): Promise<string | undefined> {
  if (context.cache === undefined) {
    return undefined;
  }
  try {
    await checkSpace(wheel, context.cache);
    return context.cache;
  } catch (error) {
    context.log(`working without a cache: ${errorMessage(error)}`);
    return undefined;
  }
}

/** Makes the native parts in a stage, puts them in place, and keeps them in the cache if they work. */
async function make(
  source: Source,
  context: Context,
  fill: (stage: string, parts: string) => Promise<void>,
): Promise<boolean> {
  await withStage(context.cache ?? context.folder, async (stage) => {
    const parts = join(stage, 'parts');
    await fill(stage, parts);
    const files = await recordFiles(parts, nativeFiles(parts));
    const draft: NativeRecord = { tfjsNode: TFJS_NODE.version, tensorflow: 'unknown', source, files };
    const record = await activate(parts, draft, context);
    await writeRecord(parts, record);
    if (context.cache !== undefined) {
      await keep(context.cache, context.platform, parts, context.log);
    }
  });
  return true;
}

/** Places the files and proves that they work; otherwise takes them away again. */
async function activate(parts: string, draft: NativeRecord, context: Context): Promise<NativeRecord> {
  try {
    await place(parts, context.folder, draft);
    const tensorflow = await selfCheck(context.folder, context.env, context.signal);
    const record = { ...draft, tensorflow };
    await writeRecord(context.folder, record);
    return record;
  } catch (error) {
    await unplace(context.folder, draft);
    throw error;
  }
}

// tfjs-node 4.22.0 calls two functions of `util` of which Node 22 warns and Node 23 lacks one.
const PROGRAM = `
const util = require('util');
util.isNullOrUndefined = (value) => value === undefined || value === null;
util.isArray = Array.isArray;
const tf = require(process.argv[1]);
const product = tf.matMul(tf.tensor2d([1, 2, 3, 4], [2, 2]), tf.tensor2d([5, 6, 7, 8], [2, 2])).dataSync().join();
if (product !== '19,22,43,50') throw new Error('2x2 product: expected 19,22,43,50, found ' + product);
console.log('\\ntensorflow=' + tf.backend().binding.TF_Version);
`;

/** TensorFlow's version, or an error that says why the engine does not work. */
async function selfCheck(folder: string, env: NodeJS.ProcessEnv, signal: AbortSignal | undefined): Promise<string> {
  const output = await run(process.execPath, ['-e', PROGRAM, folder], {
    name: 'the self-check',
    env: { ...childEnv(env), TF_CPP_MIN_LOG_LEVEL: '2' },
    signal,
    timeoutSeconds: 120,
  });
  const version = /^tensorflow=(\S+)$/m.exec(output)?.[1];
  if (version === undefined) {
    throw new Error('the self-check printed no TensorFlow version');
  }
  return version;
}
