// A whole install in a temporary folder, without network, Python or compiler: a fake tfjs-node package, a fake
// pip that copies a fake wheel, a fake node-gyp. What the fakes were asked is written down beside them.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Wheel } from '../../src/native/pins.js';
import { type ProvisionOptions, provision } from '../../src/native/provision.js';
import { type FakeEntry, fakeZip } from './fake-zip.js';

const FILES: readonly FakeEntry[] = [
  { name: 'tensorflow/libtensorflow_cc.so.2', content: 'the library' },
  { name: 'tensorflow/libtensorflow_framework.so.2', content: 'the framework' },
  { name: 'tensorflow/include/tensorflow/c/c_api.h', content: '// header' },
  { name: 'tensorflow/python/big.py', content: 'not needed' },
];

const INDEX = `
const { existsSync, readFileSync } = require('fs');
const at = (path) => require('path').join(__dirname, '..', path);
if (readFileSync(at('lib/napi-v8/tfjs_binding.node'), 'utf8') !== 'binding') throw new Error('bad binding');
if (!existsSync(at('deps/lib/libtensorflow_framework.so.2'))) throw new Error('no library');
exports.tensor2d = (values) => values;
exports.matMul = () => ({ dataSync: () => Float32Array.of(19, 22, 43, 50) });
exports.backend = () => ({ binding: { TF_Version: '9.9.9' } });
`;

const INSTALL = `
const fs = require('fs');
const path = require('path');
process.chdir(path.join(__dirname, '..'));
fs.appendFileSync(path.join(__dirname, 'runs'), 'x');
fs.mkdirSync('deps/lib', { recursive: true });
for (const name of ['libtensorflow', 'libtensorflow_framework']) {
  fs.writeFileSync('deps/lib/' + name + '.so.2.9.1', name);
  fs.symlinkSync(name + '.so.2.9.1', 'deps/lib/' + name + '.so.2');
}
fs.mkdirSync('lib/napi-v8', { recursive: true });
fs.writeFileSync('lib/napi-v8/tfjs_binding.node', 'binding');
`;

const PIP = `
const fs = require('fs');
const args = process.argv.slice(2);
if (args.includes('--version')) process.exit(0);
fs.appendFileSync(process.env.FAKE_LOG, 'pip ' + args.join(' ') + '\\n');
fs.appendFileSync(process.env.FAKE_LOG, fs.readFileSync(args[args.indexOf('-r') + 1], 'utf8'));
if (process.env.FAKE_PIP === 'hangs') setInterval(() => {}, 1000);
else fs.copyFileSync(process.env.FAKE_WHEEL, args[args.indexOf('--dest') + 1] + '/fake.whl');
`;

const GYP = `
const fs = require('fs');
if (process.env.FAKE_GYP === 'fails') {
  console.error('binding/tfjs_backend.cc:1:10: fatal error: missing.h: No such file\\ngyp ERR! stack Error: make failed');
  process.exit(1);
}
if (!fs.readFileSync('binding.gyp', 'utf8').includes('-l:libtensorflow_cc.so.2')) throw new Error('wrong recipe');
fs.readFileSync('deps/include/tensorflow/c/c_api.h');
fs.mkdirSync('build/Release', { recursive: true });
fs.writeFileSync('build/Release/tfjs_binding.node', process.env.FAKE_GYP === 'wrong' ? 'wrong' : 'binding');
`;

export class FakeInstall {
  readonly base = mkdtempSync(join(tmpdir(), 'kvgen-native-test-'));
  readonly cache = join(this.base, 'cache', 'native');
  readonly lines: string[] = [];
  readonly env: NodeJS.ProcessEnv;
  wheel: Wheel;

  constructor() {
    this.wheel = this.setWheel(fakeZip(FILES));
    this.write('bin/python3', `#!${process.execPath}\n${PIP}`, 0o755);
    this.write('bin/g++', '', 0o755);
    this.write('bin/make', '', 0o755);
    this.write('bin/node-gyp.js', GYP);
    this.env = {
      PATH: join(this.base, 'bin'),
      FAKE_LOG: join(this.base, 'asked'),
      FAKE_WHEEL: join(this.base, 'fake.whl'),
      npm_config_node_gyp: join(this.base, 'bin/node-gyp.js'),
    };
  }

  /** A kvgen folder with tfjs-node as npm 11 leaves it; its path. */
  checkout(name = 'kvgen'): string {
    const folder = `${name}/node_modules/@tensorflow/tfjs-node`;
    this.write(`${name}/package.json`, '{}');
    this.write(`${folder}/package.json`, PACKAGE);
    this.write(`${folder}/dist/index.js`, INDEX);
    this.write(`${folder}/scripts/install.js`, INSTALL);
    this.write(`${folder}/binding/tfjs_backend.cc`, '');
    this.write(`${folder}/binding.gyp`, "'-ltensorflow','-ltensorflow_framework'");
    return join(this.base, name);
  }

  /** What an older npm does with an optional dependency. */
  runInstallScript(root: string): void {
    execFileSync(process.execPath, [join(root, 'node_modules/@tensorflow/tfjs-node/scripts/install.js')]);
  }

  /** Replaces the wheel that pip delivers; returns pins that fit it. */
  setWheel(bytes: Buffer): Wheel {
    writeFileSync(join(this.base, 'fake.whl'), bytes);
    return {
      project: 'tensorflow-fake',
      version: '9.9.9',
      tag: 'manylinux_fake',
      size: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      libraries: FILES.slice(0, 2).map(({ name, content }) => ({
        name: name.slice('tensorflow/'.length),
        size: content.length,
      })),
    };
  }

  setEntries(extra: readonly FakeEntry[]): Wheel {
    return this.setWheel(fakeZip([...extra, ...FILES]));
  }

  options(root: string, more: Partial<ProvisionOptions> = {}): ProvisionOptions {
    const log = (line: string) => this.lines.push(line);
    return { log, env: this.env, root, cache: this.cache, platform: 'fake-x64', wheel: this.wheel, ...more };
  }

  provision(root: string, more: Partial<ProvisionOptions> = {}): ReturnType<typeof provision> {
    return provision(this.options(root, more));
  }

  /** What pip was called with. */
  asked(): string {
    const path = join(this.base, 'asked');
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }

  /** Folders that a run should have removed. */
  debris(): string[] {
    const names = readdirSync(this.base, { recursive: true }).map(String);
    return names.filter((name) => name.includes('.kvgen-stage-'));
  }

  write(path: string, content: string, mode = 0o644): void {
    mkdirSync(dirname(join(this.base, path)), { recursive: true });
    writeFileSync(join(this.base, path), content, { mode });
  }

  remove(path = ''): void {
    rmSync(join(this.base, path), { recursive: true, force: true });
  }
}

const PACKAGE = '{"name":"@tensorflow/tfjs-node","version":"4.22.0","main":"dist/index.js"}\n';
