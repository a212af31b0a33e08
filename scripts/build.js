// Builds dist/ from src/ when it is stale: `npm run build` always, npm's prepare and postinstall only when the
// sources, the settings or the compiler changed since the last build. The new dist/ replaces the old one at
// once, so that an interrupted build leaves what was there. Without TypeScript (a packed install) it does nothing.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');
const stamp = 'build-stamp';

/** True when dist/ is current at the end or nothing can be done; throws when the compiler fails. */
export async function build({ log, force = false }) {
  const compiler = join(root, 'node_modules', 'typescript');
  if (!existsSync(join(root, 'src')) || !existsSync(compiler)) {
    if (existsSync(dist) && !force) {
      return;
    }
    throw new Error('dist/ cannot be built without TypeScript: run "npm install" with development dependencies');
  }
  const wanted = fingerprint(compiler);
  if (!force && readStamp() === wanted) {
    return;
  }
  log('kvgen: building dist/');
  compile(compiler, wanted);
}

/** A hash of all that decides what dist/ contains. */
function fingerprint(compiler) {
  const hash = createHash('sha256');
  const sources = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
  const compilers = [compiler, join(root, 'node_modules', 'assemblyscript')].map((path) => join(path, 'package.json'));
  for (const path of [...sources, join(root, 'tsconfig.json'), ...compilers]) {
    hash
      .update(`${path.slice(root.length)}\0`)
      .update(readFileSync(path))
      .update('\0');
  }
  return hash.digest('hex');
}

function readStamp() {
  try {
    return readFileSync(join(dist, stamp), 'utf8');
  } catch {
    return undefined;
  }
}

function compile(compiler, wanted) {
  const out = mkdtempSync(join(root, 'node_modules', '.kvgen-dist-'));
  try {
    const { bin } = JSON.parse(readFileSync(join(compiler, 'package.json'), 'utf8'));
    const args = [join(compiler, bin.tsc), '-p', join(root, 'tsconfig.json'), '--outDir', join(out, 'new')];
    const { status, error } = spawnSync(process.execPath, args, { stdio: ['ignore', 2, 2] });
    if (error !== undefined || status !== 0) {
      throw new Error(`tsc failed (${error?.message ?? `exit ${status}`})`);
    }
    compileKernels(join(out, 'new'));
    writeFileSync(join(out, 'new', stamp), wanted);
    replace(join(out, 'new'), join(out, 'old'), wanted);
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

/** The kernels are AssemblyScript, which becomes WebAssembly. Their memory is shared, and the engine's: they import it. */
function compileKernels(target) {
  const kernels = join(root, 'src', 'simd', 'kernels', 'index.ts');
  const features = ['--enable', 'simd', '--enable', 'threads', '--runtime', 'stub', '--noAssert', '-O3'];
  const memory = ['--importMemory', '--sharedMemory', '--initialMemory', '1', '--maximumMemory', '65536'];
  const compiler = join(root, 'node_modules', 'assemblyscript', 'bin', 'asc.js');
  const args = [compiler, kernels, '--outFile', join(target, 'simd', 'kernels.wasm'), ...features, ...memory];
  const { status, error } = spawnSync(process.execPath, args, { stdio: ['ignore', 2, 2] });
  if (error !== undefined || status !== 0) {
    throw new Error(`asc failed (${error?.message ?? `exit ${status}`})`);
  }
}

function replace(fresh, old, wanted) {
  try {
    if (existsSync(dist)) {
      renameSync(dist, old);
    }
    renameSync(fresh, dist);
  } catch (error) {
    // Another build of the same sources may have been faster.
    if (readStamp() !== wanted) {
      throw error;
    }
  }
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    await build({ log: (line) => process.stderr.write(`${line}\n`), force: process.argv.includes('--force') });
  } catch (error) {
    process.stderr.write(`kvgen: ${error.message}\n`);
    process.exitCode = 1;
  }
}
