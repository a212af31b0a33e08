// Puts a native engine in place: the one that is there, else one from the cache, else TensorFlow's wheel and a binding built
// for it. tfjs-node's own install script is never run: the binding that it downloads has no published hash. Each step that
// fails says why in one line. TensorFlow is loaded in child processes only. Knows nothing of the WebAssembly engine, on which
// kvgen runs when nothing here works.

import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { errorMessage } from '../errors.js';
import { checkWritable, withStage } from '../files/folders.js';
import { buildBinding, checkCompiler } from './build-binding.js';
import { run, type StepOptions } from './child.js';
import { cacheEntry, findCached, keep, openCache } from './engine-cache.js';
import { packageFolder } from './package.js';
import { platformName, type Wheel, wheelFor } from './pins.js';
import { makeRecord, place, unplace, writeRecord } from './record.js';
import { type NativeRecord, nativeCacheFolder, packageRoot, type Status, status } from './status.js';
import { checkSpace, fetchWheel } from './wheel.js';

export interface ProvisionOptions extends Omit<StepOptions, 'env'> {
  readonly env?: NodeJS.ProcessEnv;
  readonly root?: string;
  /** The cache folder; null: no cache. */
  readonly cache?: string | null;
  readonly platform?: string;
  readonly wheel?: Wheel;
}

interface Context extends StepOptions {
  /** A cache folder that has been checked; undefined when none can be used. */
  readonly cache: string | undefined;
  readonly platform: string;
  readonly wheel: Wheel | undefined;
  /** The tfjs-node folder to install into. */
  readonly folder: string;
}

/** Returns what is in place at the end. @throws only when interrupted */
export async function provision(options: ProvisionOptions): Promise<Status> {
  const { log, signal, env = process.env, root = packageRoot() } = options;
  const step = { log, signal, env };
  const before = status(root);
  if (before.engine === 'native') {
    return before;
  }
  try {
    await install(await prepare(root, step, options));
  } catch (error) {
    signal?.throwIfAborted();
    log(errorMessage(error));
  }
  return status(root);
}

/** Returns what the work returns. When the work fails, logs the reason in one line and returns undefined. */
async function attempt<T>(what: string, { log, signal }: StepOptions, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    signal?.throwIfAborted();
    log(`${what}: ${errorMessage(error)}`);
    return undefined;
  }
}

/** Decides what to install and where, before anything large is downloaded. */
async function prepare(root: string, step: StepOptions, options: ProvisionOptions): Promise<Context> {
  const folder = await packageFolder(root, step);
  await checkWritable(folder).catch((error: unknown) => {
    throw new Error(`cannot install into ${folder}: ${errorMessage(error)}`);
  });
  const { platform = platformName(), wheel = wheelFor(platform), cache = await nativeCacheFolder() } = options;
  return { ...step, folder, platform, wheel, cache: await usable(cache ?? undefined, openCache, step) };
}

/** Returns the cache if there is one and the check does not throw. */
async function usable(cache: string | undefined, check: (cache: string) => Promise<void>, step: StepOptions) {
  if (cache === undefined) {
    return undefined;
  }
  return attempt('working without a cache', step, async () => {
    await check(cache);
    return cache;
  });
}

const WAYS = [
  ['the cached engine', fromCache],
  ["TensorFlow's wheel", fromWheel],
] as const;

async function install(context: Context): Promise<void> {
  for (const [name, way] of WAYS) {
    if (await attempt(name, context, () => way(context))) {
      return;
    }
  }
}

/** Returns false when the cache has no engine. */
async function fromCache(context: Context): Promise<boolean> {
  const entry = context.cache === undefined ? undefined : cacheEntry(context.cache, context.platform);
  const record = entry === undefined ? undefined : await findCached(entry, context.log);
  if (entry === undefined || record === undefined) {
    return false;
  }
  await activate(entry, record, context);
  return true;
}

async function fromWheel(context: Context): Promise<boolean> {
  const { wheel } = context;
  if (wheel === undefined) {
    throw new Error(`none has the libraries for ${context.platform}`);
  }
  checkCompiler(context.env);
  // If the cache's disk is full, the install may still fit on the disk of node_modules.
  const cache = await usable(context.cache, (folder) => checkSpace(wheel, folder), context);
  await withStage(cache ?? context.folder, async (stage) => {
    const parts = join(stage, 'parts');
    const draft = await build(wheel, stage, parts, context);
    await writeRecord(parts, await activate(parts, draft, context));
    if (cache !== undefined) {
      await keep(parts, cacheEntry(cache, context.platform), context.log);
    }
  });
  return true;
}

/** Makes the native parts in the temporary folder `stage`, and collects them in `parts`. */
async function build(wheel: Wheel, stage: string, parts: string, context: Context): Promise<NativeRecord> {
  const tensorflow = join(stage, 'tensorflow');
  await fetchWheel(wheel, stage, tensorflow, context);
  await buildBinding(context.folder, tensorflow, parts, context);
  await mkdir(join(parts, 'deps'), { recursive: true });
  await rename(join(tensorflow, 'lib'), join(parts, 'deps', 'lib'));
  return makeRecord(
    parts,
    wheel.libraries.map(({ name }) => name),
  );
}

/** Puts the files in place and tests that they work. If not, they are removed again. */
async function activate(parts: string, draft: NativeRecord, context: Context): Promise<NativeRecord> {
  try {
    await place(parts, context.folder, draft);
    const record = { ...draft, tensorflow: await selfCheck(context.folder, context) };
    await writeRecord(context.folder, record);
    return record;
  } catch (error) {
    await unplace(context.folder, draft);
    throw error;
  }
}

// tfjs-node 4.22.0 calls two old functions of `util`. Node 22 warns of both, and Node 23 lacks one of them.
const SELF_CHECK = `
const util = require('util');
util.isNullOrUndefined = (value) => value === undefined || value === null;
util.isArray = Array.isArray;
const tf = require(process.argv[1]);
const product = tf.matMul(tf.tensor2d([1, 2, 3, 4], [2, 2]), tf.tensor2d([5, 6, 7, 8], [2, 2])).dataSync().join();
if (product !== '19,22,43,50') throw new Error('2x2 product: expected 19,22,43,50, found ' + product);
console.log('\\ntensorflow=' + tf.backend().binding.TF_Version);
`;

/**
 * Loads the engine and multiplies two matrices, in a child process: a library that crashes ends the child and not the
 * install. Returns TensorFlow's version.
 */
async function selfCheck(folder: string, step: StepOptions): Promise<string> {
  const output = await run([process.execPath, '-e', SELF_CHECK, folder], {
    ...step,
    name: 'the self-check',
    env: { ...step.env, TF_CPP_MIN_LOG_LEVEL: '2' },
    timeoutSeconds: 120,
  });
  const version = /^tensorflow=(\S+)$/m.exec(output)?.[1];
  if (version === undefined) {
    throw new Error('the self-check printed no TensorFlow version');
  }
  return version;
}
