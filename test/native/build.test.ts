// scripts/build.js and scripts/postinstall.js, each in a small fake checkout with a compiler that counts.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';

const SCRIPTS = fileURLToPath(new URL('../../scripts', import.meta.url));
const DIST = fileURLToPath(new URL('../../dist', import.meta.url));
const SETUP = `
export async function setup({ log, signal }) {
  log('kvgen: an engine');
  if (process.env.FAKE_SETUP !== 'hangs') return 1;
  const timer = setInterval(() => {}, 1000);
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
  clearInterval(timer);
  throw signal.reason;
}`;
const TSC = `
const fs = require('fs');
const out = process.argv[process.argv.indexOf('--outDir') + 1];
fs.appendFileSync(__dirname + '/runs', 'x');
fs.mkdirSync(out + '/cli', { recursive: true });
for (const name of fs.readdirSync('src')) fs.writeFileSync(out + '/' + name.replace('.ts', '.js'), '');
fs.writeFileSync(out + '/cli/setup-command.js', ${JSON.stringify(SETUP)});
for (const name of ['errors.js', 'cli/shell/interrupts.js']) fs.cpSync(${JSON.stringify(DIST)} + '/' + name, out + '/' + name);
if (fs.readFileSync('src/a.ts', 'utf8') === 'wrong') process.exit(2);
`;
/** Writes down what it was asked for, in place of the kernels. */
const ASC = `
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
const out = process.argv[process.argv.indexOf('--outFile') + 1];
mkdirSync(dirname(out), { recursive: true });
writeFileSync(out, process.argv.slice(2).join(' '));
if (readFileSync('src/a.ts', 'utf8') === 'wrong kernels') process.exit(3);
`;

/** Writes down what it was asked for, in place of the page's script. */
const ESBUILD = `
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
export async function build({ entryPoints, outdir, bundle, format }) {
  mkdirSync(outdir, { recursive: true });
  writeFileSync(outdir + '/script.js', JSON.stringify({ entryPoints, bundle, format }));
  if (readFileSync('src/a.ts', 'utf8') === 'wrong page') throw new Error('the page has an error');
}
`;

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'kvgen-build-test-'));
  cpSync(SCRIPTS, join(root, 'scripts'), { recursive: true });
  write('package.json', '{"type":"module"}');
  write('tsconfig.json', '{}');
  write('src/a.ts', '1');
  write('node_modules/typescript/package.json', '{"bin":{"tsc":"./tsc.cjs"}}');
  write('node_modules/typescript/tsc.cjs', TSC);
  write('node_modules/assemblyscript/package.json', '{"type":"module"}');
  write('node_modules/assemblyscript/bin/asc.js', ASC);
  write('tsconfig.page.json', '{}');
  write('node_modules/esbuild/package.json', '{"type":"module","exports":"./esbuild.js"}');
  write('node_modules/esbuild/esbuild.js', ESBUILD);
  write('node_modules/uplot/package.json', '{}');
  write('node_modules/uplot/LICENSE', 'whose it is');
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function write(path: string, content: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
}

function node(script: string, ...args: string[]): { code: number | null; lines: string[] } {
  return nodeWith([], script, ...args);
}

function nodeWith(options: string[], script: string, ...args: string[]): { code: number | null; lines: string[] } {
  const command = [...options, join('scripts', script), ...args];
  const child = spawnSync(process.execPath, command, { cwd: root, encoding: 'utf8' });
  return { code: child.status, lines: child.stderr.trim().split('\n') };
}

const runs = () => readFileSync(join(root, 'node_modules/typescript/runs'), 'utf8').length;

it('builds once, again when a source changes, and always with --force', () => {
  expect(node('build.js')).toEqual({ code: 0, lines: ['kvgen: building dist/'] });
  expect(node('build.js')).toEqual({ code: 0, lines: [''] });
  expect(runs()).toBe(1);
  write('src/b.ts', '1');
  node('build.js');
  expect(runs()).toBe(2);
  node('build.js', '--force');
  expect(runs()).toBe(3);
});

it('removes outputs whose source is gone', () => {
  write('src/b.ts', '1');
  node('build.js');
  expect(existsSync(join(root, 'dist/b.js'))).toBe(true);
  rmSync(join(root, 'src/b.ts'));
  node('build.js');
  expect(existsSync(join(root, 'dist/b.js'))).toBe(false);
});

it('leaves the last good dist/ and no debris when the compiler fails', () => {
  node('build.js');
  write('src/a.ts', 'wrong');
  expect(node('build.js')).toEqual({ code: 1, lines: ['kvgen: building dist/', 'kvgen: tsc failed (exit 2)'] });
  expect(existsSync(join(root, 'dist/a.js'))).toBe(true);
  write('src/a.ts', 'wrong kernels');
  expect(node('build.js')).toEqual({ code: 1, lines: ['kvgen: building dist/', 'kvgen: asc failed (exit 3)'] });
  write('src/a.ts', 'wrong page');
  expect(node('build.js')).toEqual({ code: 1, lines: ['kvgen: building dist/', 'kvgen: the page has an error'] });
  expect(readFileSync(join(root, 'dist/a.js'), 'utf8')).toBe('');
  expect(readdirSync(join(root, 'node_modules'))).toEqual(['assemblyscript', 'esbuild', 'typescript', 'uplot']);
});

it('compiles the kernels beside the rest, for a memory that they share and do not own', () => {
  node('build.js');
  const asked = readFileSync(join(root, 'dist/simd/kernels.wasm'), 'utf8');
  expect(asked).toMatch(/^\S+\/src\/simd\/kernels\/index\.ts --outFile /);
  expect(asked).toContain('--enable simd --enable threads');
  expect(asked).toContain('--importMemory --sharedMemory');
});

it("makes one script of the page's, and puts the licence of what is in it beside it", () => {
  node('build.js');
  const { entryPoints, bundle, format } = JSON.parse(readFileSync(join(root, 'dist/view/page/script.js'), 'utf8'));
  const page = join(realpathSync(root), 'src/view/page');
  expect(entryPoints).toEqual({ script: join(page, 'page-script.ts'), style: join(page, 'page.css') });
  expect({ bundle, format }).toEqual({ bundle: true, format: 'iife' });
  expect(readFileSync(join(root, 'dist/view/page/uplot-licence.txt'), 'utf8')).toBe('whose it is');
});

it.each(['typescript', 'assemblyscript', 'esbuild', 'uplot'])('builds again with another version of %s', (compiler) => {
  node('build.js');
  const path = `node_modules/${compiler}/package.json`;
  write(path, `${readFileSync(join(root, path), 'utf8')}\n`);
  expect(node('build.js').lines).toEqual(['kvgen: building dist/']);
});

it('does nothing without compilers or sources, as in a packed install', () => {
  node('build.js');
  rmSync(join(root, 'node_modules'), { recursive: true });
  write('src/a.ts', '2');
  expect(node('build.js')).toEqual({ code: 0, lines: [''] });
  rmSync(join(root, 'src'), { recursive: true });
  expect(node('build.js')).toEqual({ code: 0, lines: [''] });
});

it.each(['node_modules', 'node_modules/assemblyscript'])(
  'says what is missing when there is neither dist/ nor %s',
  (missing) => {
    rmSync(join(root, missing), { recursive: true });
    const message = 'dist/ cannot be built without its compilers: run "npm install" with development dependencies';
    expect(node('build.js')).toEqual({ code: 1, lines: [`kvgen: ${message}`] });
  },
);

it('postinstall exits 0 whatever happens, and ends with the engine', () => {
  expect(node('postinstall.js')).toEqual({ code: 0, lines: ['kvgen: building dist/', 'kvgen: an engine'] });
  write('src/a.ts', 'wrong');
  const { code, lines } = node('postinstall.js');
  expect({ code, last: lines.at(-1) }).toEqual({ code: 0, last: 'kvgen: an engine' });
  rmSync(join(root, 'dist'), { recursive: true });
  const broken = node('postinstall.js');
  expect(broken.code).toBe(0);
  expect(broken.lines.at(-1)).toMatch(/^kvgen: no native engine \(.*\); "kvgen setup" tries again$/);
});

it.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('postinstall stopped by %s exits %i, so that npm stops too', async (signal, code) => {
  const env = { ...process.env, FAKE_SETUP: 'hangs' };
  const child = spawn(process.execPath, [join('scripts', 'postinstall.js')], { cwd: root, env });
  let lines = '';
  for await (const text of child.stderr.setEncoding('utf8')) {
    lines += text;
    if (lines.endsWith('an engine\n')) {
      child.kill(signal);
    }
  }
  expect({ code: child.exitCode ?? (await once(child, 'close'))[0], lines }).toEqual({
    code,
    lines: 'kvgen: building dist/\nkvgen: an engine\n',
  });
});

it('postinstall refuses an old Node in one line, builds nothing and lets npm go on', () => {
  write('disguise.cjs', "Object.defineProperty(process, 'versions', { value: { node: '18.20.8' } });");
  const message = 'Node 20 or newer is needed, found 18.20.8; install it, then run npm install again';
  expect(nodeWith(['--require', './disguise.cjs'], 'postinstall.js')).toEqual({
    code: 0,
    lines: [`kvgen: ${message}`],
  });
  expect(existsSync(join(root, 'dist'))).toBe(false);
});
