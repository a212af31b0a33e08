// Builds dist/ from src/ when it is stale: `npm run build` always, npm's prepare and postinstall only when the
// sources, the settings or a compiler changed since the last build. The new dist/ replaces the old one at
// once, so that an interrupted build leaves what was there. Without compilers (a packed install) it does nothing.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');
const stamp = 'build-stamp';
const temporary = '.kvgen-dist-';
/** For the sources, for the kernels, and for the script of kvgen view's page, which has uPlot in it. */
const compilers = ['typescript', 'assemblyscript', 'esbuild', 'uplot'].map((name) => join(root, 'node_modules', name));
const [typescript, assemblyscript, , uplot] = compilers;

/** True when dist/ is current at the end or nothing can be done; throws when the compiler fails. */
export async function build({ log, force = false }) {
  if (!existsSync(join(root, 'src')) || !compilers.every(existsSync)) {
    if (existsSync(dist) && !force) {
      return;
    }
    throw new Error('dist/ cannot be built without its compilers: run "npm install" with development dependencies');
  }
  const wanted = fingerprint();
  if (!force && readStamp() === wanted) {
    return;
  }
  log('kvgen: building dist/');
  await compile(wanted);
}

/** A hash of all that decides what dist/ contains. */
function fingerprint() {
  const hash = createHash('sha256');
  const sources = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
  const versions = compilers.map((path) => join(path, 'package.json'));
  const settings = ['tsconfig.json', 'tsconfig.page.json'].map((name) => join(root, name));
  for (const path of [...sources, ...settings, ...versions]) {
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

/** Removes what builds that were killed have left. None takes an hour. */
function sweep(parent) {
  for (const path of readdirSync(parent)
    .filter((name) => name.startsWith(temporary))
    .map((name) => join(parent, name))) {
    if (Date.now() - statSync(path).mtimeMs > 60 * 60 * 1000) {
      rmSync(path, { recursive: true, force: true });
    }
  }
}

async function compile(wanted) {
  sweep(join(root, 'node_modules'));
  const out = mkdtempSync(join(root, 'node_modules', temporary));
  const fresh = join(out, 'new');
  try {
    const { bin } = JSON.parse(readFileSync(join(typescript, 'package.json'), 'utf8'));
    run('tsc', join(typescript, bin.tsc), ['-p', join(root, 'tsconfig.json'), '--outDir', fresh]);
    compileKernels(join(fresh, 'simd', 'kernels.wasm'));
    await bundlePage(join(fresh, 'view', 'page'));
    writeFileSync(join(fresh, stamp), wanted);
    replace(fresh, join(out, 'old'), wanted);
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

/** The kernels are AssemblyScript, which becomes WebAssembly. Their memory is shared and the engine's: they import it. */
function compileKernels(target) {
  const source = join(root, 'src', 'simd', 'kernels', 'index.ts');
  const features = ['--enable', 'simd', '--enable', 'threads', '--runtime', 'stub', '--noAssert', '-O3'];
  const memory = ['--importMemory', '--sharedMemory', '--initialMemory', '1', '--maximumMemory', '65536'];
  run('asc', join(assemblyscript, 'bin', 'asc.js'), [source, '--outFile', target, ...features, ...memory]);
}

/** The page runs in a browser, alone: one script without imports, one style sheet, and the licence of what is in them. */
async function bundlePage(target) {
  const { build: bundle } = await import('esbuild');
  const source = join(root, 'src', 'view', 'page');
  await bundle({
    entryPoints: { script: join(source, 'page-script.ts'), style: join(source, 'page.css') },
    outdir: target,
    bundle: true,
    minify: true,
    format: 'iife',
    target: ['es2022', 'chrome105', 'firefox113', 'safari16.4'],
    legalComments: 'none',
    tsconfig: join(root, 'tsconfig.page.json'),
    logLevel: 'warning',
  });
  copyFileSync(join(uplot, 'LICENSE'), join(target, 'uplot-licence.txt'));
}

function run(name, script, args) {
  const { status, error } = spawnSync(process.execPath, [script, ...args], { stdio: ['ignore', 2, 2] });
  if (error !== undefined || status !== 0) {
    throw new Error(`${name} failed (${error?.message ?? `exit ${status}`})`);
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
