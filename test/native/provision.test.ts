import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { setup } from '../../src/cli/setup-command.js';
import { status } from '../../src/native/status.js';
import { FakeInstall } from './fake-install.js';

let fake: FakeInstall;
let root: string;
let tfjs: string;

beforeEach(() => {
  fake = new FakeInstall();
  root = fake.checkout();
  tfjs = join(root, 'node_modules/@tensorflow/tfjs-node');
});

afterEach(() => fake.remove());

describe('the steps', () => {
  it('takes the wheel with the pinned hash, and builds the binding for it', async () => {
    const result = await fake.provision(root);
    expect(result).toEqual({ engine: 'native', tensorflow: '9.9.9', folder: tfjs });
    expect(fake.asked()).toContain('-m pip download --no-deps --only-binary=:all: --require-hashes --no-cache-dir');
    expect(fake.asked()).toContain(
      '--python-version 311 --implementation cp --abi cp311 --platform manylinux_fake --dest',
    );
    expect(fake.asked()).toContain(`tensorflow-fake==9.9.9 --hash=sha256:${fake.wheel.sha256}\n`);
    expect(readdirSync(join(tfjs, 'deps/lib'))).toEqual(['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2']);
    expect(fake.lines).toEqual([
      'downloading tensorflow-fake 9.9.9 with pip (0 MB)',
      "unpacking TensorFlow's libraries (0 MB)",
      'building the binding (10 to 30 s)',
    ]);
    expect(fake.debris()).toEqual([]);
  });

  it('says in its last line which engine is in place, and exits by it', async () => {
    const lines: string[] = [];
    const io = { log: (line: string) => lines.push(line) };
    expect(await setup(io, fake.options(root))).toBe(0);
    expect(lines.at(-1)).toBe("kvgen: native engine in place: TensorFlow 9.9.9 (TensorFlow's wheel)");
    fake.env.PATH = '/nonexistent';
    expect(await setup(io, fake.options(fake.checkout('other'), { cache: null }))).toBe(1);
    expect(lines.at(-1)).toMatch(
      /^kvgen: no native engine: kvgen runs on its own WebAssembly engine; "kvgen setup" tries again$/,
    );
  });

  it('does nothing, and starts nothing, when all is in place', async () => {
    await fake.provision(root);
    fake.lines.length = 0;
    const start = performance.now();
    const result = await fake.provision(root, { env: { PATH: '/nonexistent' } });
    expect(performance.now() - start).toBeLessThan(200);
    expect(result.engine).toBe('native');
    expect(fake.lines).toEqual([]);
  });

  it('repairs an install that lost a file', async () => {
    await fake.provision(root);
    fake.remove('kvgen/node_modules/@tensorflow/tfjs-node/deps');
    expect(status(root)).toEqual({ engine: 'none' });
    expect(await fake.provision(root)).toMatchObject({ engine: 'native' });
  });

  it("never runs tfjs-node's own install script, and uses nothing that it has put there", async () => {
    fake.runInstallScript(root); // as an npm before 11.16 does
    expect(status(root)).toEqual({ engine: 'none' });
    expect(readFileSync(join(tfjs, 'scripts/runs'), 'utf8')).toBe('x');
    expect(await fake.provision(root, { env: { PATH: '/nonexistent' } })).toEqual({ engine: 'none' });
    expect(await fake.provision(root)).toEqual({ engine: 'native', tensorflow: '9.9.9', folder: tfjs });
    expect(JSON.parse(readFileSync(join(tfjs, 'kvgen-native.json'), 'utf8'))).toMatchObject({
      source: 'wheel',
      files: [
        { path: 'deps/lib/libtensorflow_cc.so.2' },
        { path: 'deps/lib/libtensorflow_framework.so.2' },
        { path: 'lib/napi-v8/tfjs_binding.node' },
      ],
    });
    expect(readFileSync(join(tfjs, 'deps/lib/libtensorflow_framework.so.2'), 'utf8')).toBe('the framework');
    expect(readFileSync(join(tfjs, 'scripts/runs'), 'utf8')).toBe('x');
    expect(fake.debris()).toEqual([]);
  });

  it.each(['download', 'found'])('does not trust a record of source "%s", which nobody had checked', async (source) => {
    await fake.provision(root);
    const path = join(tfjs, 'kvgen-native.json');
    writeFileSync(path, readFileSync(path, 'utf8').replace('"wheel"', `"${source}"`));
    expect(status(root)).toEqual({ engine: 'none' });
    expect(await fake.provision(root)).toMatchObject({ engine: 'native' });
    expect(readFileSync(path, 'utf8')).toContain('"source": "wheel"');
  });
});

describe('what can go wrong', () => {
  async function failsWith(line: string | RegExp): Promise<void> {
    expect(await fake.provision(root)).toEqual({ engine: 'none' });
    expect(fake.lines.at(-1)).toMatch(line);
    expect(fake.debris()).toEqual([]);
    expect(existsSync(join(tfjs, 'deps'))).toBe(false);
  }

  it('a truncated wheel', async () => {
    writeFileSync(join(fake.base, 'fake.whl'), readFileSync(join(fake.base, 'fake.whl')).subarray(0, 100));
    await failsWith(`TensorFlow's wheel: tensorflow-fake 9.9.9: expected ${fake.wheel.size} bytes, found 100`);
  });

  it('a wheel with another hash', async () => {
    const { sha256 } = fake.wheel;
    fake.wheel = { ...fake.wheel, sha256: '0'.repeat(64) };
    await failsWith(`tensorflow-fake 9.9.9: expected SHA-256 ${'0'.repeat(64)}, found ${sha256}`);
  });

  it('a wheel entry that would leave the folder', async () => {
    fake.wheel = fake.setEntries([{ name: 'tensorflow/include/tensorflow/c/../../../../../evil.h', content: 'evil' }]);
    await failsWith(/TensorFlow's wheel: invalid relative path/);
    expect(readdirSync(fake.base, { recursive: true }).filter((name) => String(name).includes('evil'))).toEqual([]);
  });

  it('a library of another size than pinned', async () => {
    const [first, second] = fake.wheel.libraries;
    fake.wheel = { ...fake.wheel, libraries: [{ name: String(first?.name), size: 12 }, ...(second ? [second] : [])] };
    await failsWith('libtensorflow_cc.so.2 in the wheel: expected 12 bytes, found 11');
  });

  it('no Python', async () => {
    fake.remove('bin/python3');
    await failsWith(/^TensorFlow's wheel: no Python with pip found on the PATH: install python3 and pip$/);
  });

  it('no compiler, noticed before the download', async () => {
    fake.remove('bin/g++');
    await failsWith(/^TensorFlow's wheel: no C\+\+ compiler found on the PATH: install g\+\+ and make$/);
    expect(fake.asked()).toBe('');
  });

  it('a compiler that fails: its first error, not the last', async () => {
    fake.env.FAKE_GYP = 'fails';
    await failsWith('node-gyp failed (exit 1): binding/tfjs_backend.cc:1:10: fatal error: missing.h: No such file');
  });

  it('an engine that does not work is taken away again, and not kept', async () => {
    fake.env.FAKE_GYP = 'wrong';
    expect(await fake.provision(root)).toEqual({ engine: 'none' });
    expect(fake.lines.at(-1)).toBe("TensorFlow's wheel: the self-check failed (exit 1): Error: bad binding");
    expect(status(root)).toEqual({ engine: 'none' });
    expect(readdirSync(fake.cache)).toEqual([]);
  });

  it('a platform without a wheel', async () => {
    const { wheel: _, ...options } = fake.options(root, { platform: 'plan9-vax' });
    const { provision } = await import('../../src/native/provision.js');
    expect(await provision(options)).toEqual({ engine: 'none' });
    expect(fake.lines.at(-1)).toBe("TensorFlow's wheel: none has the libraries for plan9-vax");
  });

  it('an interruption: children end, nothing is left', async () => {
    fake.env.FAKE_PIP = 'hangs';
    const controller = new AbortController();
    const running = fake.provision(root, { signal: controller.signal });
    while (!fake.asked().includes('--hash')) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    controller.abort(new Error('interrupted'));
    await expect(running).rejects.toThrow('interrupted');
    expect(fake.debris()).toEqual([]);
    delete fake.env.FAKE_PIP;
    expect(await fake.provision(root)).toMatchObject({ engine: 'native' });
  });
});

describe('the cache', () => {
  const entry = () => join(fake.cache, 'tfjs-node-4.22.0-fake-x64');

  it('gives a second checkout its engine without download or compiler', async () => {
    await fake.provision(root);
    fake.remove('bin');
    const second = fake.checkout('second');
    const result = await fake.provision(second);
    expect(result).toMatchObject({ engine: 'native', tensorflow: '9.9.9' });
    expect(fake.asked().match(/^pip/gm)).toHaveLength(1);
    expect(fake.lines).toHaveLength(3);
  });

  it('is private, and shares its libraries by hard links', async () => {
    await fake.provision(root);
    expect(statSync(fake.cache).mode & 0o777).toBe(0o700);
    const library = statSync(join(entry(), 'deps/lib/libtensorflow_cc.so.2'));
    expect(library.nlink).toBe(2);
    expect(statSync(join(tfjs, 'deps/lib/libtensorflow_cc.so.2')).ino).toBe(library.ino);
    fake.remove('cache');
    expect(status(root)).toMatchObject({ engine: 'native' });
  });

  it('with a changed file is thrown away and made anew', async () => {
    await fake.provision(root);
    fake.remove('cache/native/tfjs-node-4.22.0-fake-x64/deps/lib/libtensorflow_cc.so.2');
    fake.write('cache/native/tfjs-node-4.22.0-fake-x64/deps/lib/libtensorflow_cc.so.2', 'the lIbrary');
    const second = fake.checkout('second');
    expect(await fake.provision(second)).toMatchObject({ engine: 'native' });
    expect(fake.lines).toContain(`${entry()}: deps/lib/libtensorflow_cc.so.2 is not what was recorded; removed`);
    expect(readFileSync(join(entry(), 'deps/lib/libtensorflow_cc.so.2'), 'utf8')).toBe('the library');
  });

  it('with a missing file or no record is thrown away', async () => {
    await mkdir(join(entry(), 'deps'), { recursive: true, mode: 0o700 });
    expect(await fake.provision(root)).toMatchObject({ engine: 'native' });
    expect(fake.lines[0]).toBe(
      `${entry()}: no record of a checked engine, or files of another size than recorded; removed`,
    );
  });

  it('that others can write to is not used', async () => {
    fake.write('cache/native/x', '');
    chmodSync(fake.cache, 0o777);
    expect(await fake.provision(root)).toMatchObject({ engine: 'native' });
    const remedy = 'chmod 700 it, or choose another XDG_CACHE_HOME';
    expect(fake.lines[0]).toBe(`working without a cache: ${fake.cache}: can be written to by others; ${remedy}`);
    expect(existsSync(entry())).toBe(false);
    expect(fake.debris()).toEqual([]);
  });

  it('below a folder that others can write to is not used either: they could put another in its place', async () => {
    fake.write('cache/native/x', '');
    const above = join(fake.base, 'cache');
    chmodSync(above, 0o777);
    expect(await fake.provision(root)).toMatchObject({ engine: 'native' });
    expect(fake.lines[0]).toMatch(
      `working without a cache: ${above}: can be written to by others, and ${fake.cache} lies`,
    );
    expect(readdirSync(fake.cache)).toEqual(['x']);
  });

  it('that cannot be made is done without', async () => {
    fake.write('cache', 'a file in its place');
    expect(await fake.provision(root)).toMatchObject({ engine: 'native' });
    expect(fake.lines[0]).toMatch(/^working without a cache: ENOTDIR/);
    expect(fake.debris()).toEqual([]);
  });

  it('survives two installs at once', async () => {
    const second = fake.checkout('second');
    const results = await Promise.all([fake.provision(root), fake.provision(second)]);
    expect(results.map((result) => result.engine)).toEqual(['native', 'native']);
    expect(readdirSync(fake.cache)).toEqual(['tfjs-node-4.22.0-fake-x64']);
  });
});

describe('the package folder', () => {
  it('is a private copy where kvgen is a dependency, which npm may strip of tfjs-node', async () => {
    const outer = fake.checkout('app');
    fake.write('app/node_modules/kvgen/package.json', '{}');
    const inner = join(outer, 'node_modules/kvgen');
    const result = await fake.provision(inner);
    expect(result).toMatchObject({ engine: 'native', folder: join(inner, 'node_modules/.kvgen/tfjs-node') });
    fake.remove('app/node_modules/@tensorflow');
    expect(status(inner)).toMatchObject({ engine: 'native' });
  });

  it('is fetched where npm left it out, and refused with another hash', async () => {
    fake.remove('kvgen/node_modules/@tensorflow');
    fake.write(
      'bin/npm-cli.js',
      `require('fs').writeFileSync(process.argv.at(-1) + '/tensorflow-tfjs-node-4.22.0.tgz', 'not it');`,
    );
    fake.env.npm_execpath = join(fake.base, 'bin/npm-cli.js');
    expect(await fake.provision(root)).toEqual({ engine: 'none' });
    expect(fake.lines[0]).toBe('fetching @tensorflow/tfjs-node@4.22.0, which npm left out');
    expect(fake.lines[1]).toMatch(/^@tensorflow\/tfjs-node@4\.22\.0: expected sha512-uHrX.*, found sha512-/);
    expect(fake.debris()).toEqual([]);
  });

  it('that cannot be written to is said before anything is downloaded', async () => {
    fake.remove('kvgen/node_modules/@tensorflow');
    fake.write('kvgen/node_modules/@tensorflow', 'a file in its place');
    expect(await fake.provision(root)).toEqual({ engine: 'none' });
    expect(fake.lines[0]).toMatch(/EEXIST|ENOTDIR/);
    expect(fake.asked()).toBe('');
  });
});
