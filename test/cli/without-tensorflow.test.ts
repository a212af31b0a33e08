// kvgen where TensorFlow is not installed at all: a copy of the package whose node_modules has no @tensorflow. Everything runs on
// the WebAssembly engine, which must load no module of TF.js, and says the same as where TensorFlow is.

import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { tempDirs } from '../support/temp-dir.js';
import { kvgenHere } from './here.js';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const PROMPT = ['-n', '24', '--seed', '3', 'Once upon a time'];
const tempDir = tempDirs();
let copy: string;

beforeAll(() => {
  copy = tempDir();
  for (const name of ['bin', 'dist', 'package.json']) {
    cpSync(join(ROOT, name), join(copy, name), { recursive: true });
  }
  symlinkSync(join(ROOT, 'models'), join(copy, 'models'));
  mkdirSync(join(copy, 'node_modules'));
  for (const name of readdirSync(join(ROOT, 'node_modules')).filter((name) => name !== '@tensorflow')) {
    symlinkSync(join(ROOT, 'node_modules', name), join(copy, 'node_modules', name));
  }
});

/** stdout of the copy's command. */
async function run(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [join(copy, 'bin', 'kvgen.js'), ...args], {
    env: { ...process.env, XDG_CACHE_HOME: join(copy, 'cache') },
  });
  return stdout;
}

describe('without TensorFlow', () => {
  it('auto is simd, with the text that simd writes where TensorFlow is', async () => {
    const { backend, threads, weights, text, num_tensors } = JSON.parse(await run('--json', ...PROMPT));
    const there = await kvgenHere(['--backend', 'simd', ...PROMPT]);
    expect({ backend, weights, num_tensors }).toEqual({ backend: 'simd', weights: 'float32', num_tensors: [0, 0] });
    expect(threads).toBeGreaterThanOrEqual(1);
    expect(`${text}\n`).toBe(there.stdout);
  });

  it.each([
    ['samples', ['--samples', '2', ...PROMPT]],
    ['int8', ['--weights', 'int8', ...PROMPT]],
    ['one thread', ['--threads', '1', ...PROMPT]],
    ['uncached', ['--no-cache', ...PROMPT]],
    ['reprefill', ['-c', '20', '--on-full', 'reprefill', ...PROMPT]],
    ['score', ['score', '--choices', ' dog| house', 'The puppy was a little']],
  ])('%s: the same as where TensorFlow is', async (_, args) => {
    const [command = '', ...rest] = args;
    const onSimd = command === 'score' ? ['score', '--backend', 'simd', ...rest] : ['--backend', 'simd', ...args];
    const there = await kvgenHere(onSimd);
    expect(there.stdout).not.toBe('');
    expect(await run(...args)).toBe(there.stdout);
  });

  it('a batch, a prompt from disk, a check of the cache, the doctor and bench', async () => {
    const lines = join(copy, 'lines.jsonl');
    writeFileSync(
      lines,
      '{"id":1,"prompt":"The cat","max_tokens":4,"temperature":0}\n{"id":2,"prompt":"The cat","max_tokens":4,"temperature":0}\n',
    );
    const texts = (await run('batch', lines))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).text);
    expect(texts[1]).toBe(texts[0]);
    await run('--prompt-cache', ...PROMPT);
    expect(JSON.parse(await run('--prompt-cache', '--json', ...PROMPT)).cache.prompt.result).toBe('hit');
    const { verify } = JSON.parse(await run('--verify-cache', '--json', ...PROMPT));
    expect(verify).toEqual({ max_abs_diff: 0, mean_abs_diff: 0, steps: 24, first_difference: null });
    expect(await run('doctor')).toMatch(/backend: simd/);
    const bench = JSON.parse(
      await run('bench', '--depth', '8', '--gen-tokens', '2', '--prompt-tokens', '8', '--format', 'json'),
    );
    expect(bench).toMatchObject({ backend: 'simd', engine: 'simd', weights: 'float32' });
    expect(bench.versions).not.toHaveProperty('tfjs');
  });

  it('node is refused with the way to it', async () => {
    await expect(run('--backend', 'node', ...PROMPT)).rejects.toThrow(
      /the native engine is not installed; run `kvgen setup`/,
    );
  });
});
