// kvgen quantize, started for real: the folder that it writes, what it says, what it refuses, and what an interrupt leaves.

import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { findModel } from '../../../src/weights/find.js';
import { writeModel } from '../../support/model-folder.js';
import { tempDirs } from '../../support/temp-dir.js';
import { BYTES } from '../folders.js';
import { kvgenHere as kvgen, kvgenJsonHere as kvgenJson } from '../here.js';
import { start } from '../run.js';

const tempDir = tempDirs();
let parent: string;
let stories: string;
beforeAll(async () => {
  parent = tempDir();
  stories = join(parent, 'stories-int8');
  const { code, stdout, stderr } = await kvgen(['quantize', 'stories', '-o', stories]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toBe(`${stories}: weights 7.1 MB → 4.0 MB\n`);
});

describe('the folder', () => {
  it('has the weights, the config, a card, and what else the model has', () => {
    expect(readdirSync(parent)).toEqual(['stories-int8']);
    const names = ['README.md', 'config.json', 'generation_config.json', 'merges.txt', 'model.safetensors'];
    expect(readdirSync(stories).sort()).toEqual([...names, 'tokenizer.json', 'tokenizer_config.json', 'vocab.json']);
    for (const name of ['generation_config.json', 'tokenizer.json', 'tokenizer_config.json', 'vocab.json']) {
      const [copy, source] = [stories, findModel('stories').dir].map((dir) => readFileSync(join(dir, name)));
      expect(copy).toEqual(source);
    }
    const card = readFileSync(join(stories, 'README.md'), 'utf8');
    expect(card).toContain('# stories in int8\n');
    expect(card).toContain('kvgen -m ./stories-int8 "Once upon a time"');
    expect(card).not.toMatch(/Loss|\/tmp/);
  });

  it('writes the text that its source writes with int8 weights, on simd without being asked', async () => {
    const run = (...args: string[]) => kvgenJson([...args, '--seed', '3', '-n', '30', 'Once upon a time']);
    const [before, after] = [await run('--weights', 'int8'), await run('-m', stories)];
    expect(after.json).toMatchObject({ backend: 'simd', weights: 'int8', ids: before.json.ids });
    expect(after.json.ids).toHaveLength(30);
  });

  it.each(['llama-spm-f16', 'qwen2-q8_0'])('of a GGUF file has its tokenizer, and the same text: %s', async (name) => {
    const file = fileURLToPath(new URL(`../../fixtures/gguf/${name}.gguf`, import.meta.url));
    const dir = join(tempDir(), 'int8');
    const { code, stderr } = await kvgen(['quantize', file, '-o', dir]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const files = ['README.md', 'config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
    expect(readdirSync(dir).sort()).toEqual(files);
    expect(JSON.parse(readFileSync(join(dir, 'tokenizer_config.json'), 'utf8')).chat_template).toContain('{% for');
    const run = (...args: string[]) => kvgenJson([...args, '--temp', '0', '-n', '8', "they're here"]);
    const [before, after] = [await run('-m', file, '--weights', 'int8'), await run('-m', dir)];
    expect(after.json).toMatchObject({ prompt_ids: before.json.prompt_ids, ids: before.json.ids });
    expect(after.json.ids).toHaveLength(8);
  });

  it('keeps its own prompts, apart from those of its source', async () => {
    const cache = ['--prompt-cache', '--cache-dir', tempDir(), '-n', '1', '--seed', '1'];
    const prompt = 'One day, a little girl named Lily went to the park with her mom and saw a big dog. '.repeat(3);
    const reused = async (...args: string[]) => {
      const { json } = await kvgenJson([...cache, ...args, prompt]);
      return json.cache.prompt.reused_tokens;
    };
    expect(await reused('--weights', 'int8')).toBe(0);
    expect(await reused('-m', stories)).toBe(0);
    expect(await reused('-m', stories)).toBeGreaterThan(32);
    expect(await reused('-m', 'stories', '--backend', 'simd')).toBe(0);
  });

  it.each([
    [['--backend', 'node'], {}, '--backend node (perhaps from KVGEN_BACKEND)'],
    [['--weights', 'float32'], {}, '--weights float32 (perhaps from KVGEN_WEIGHTS)'],
    [['--engine', 'graph'], {}, '--engine graph'],
    [[], { KVGEN_BACKEND: 'cpu' }, '--backend cpu (perhaps from KVGEN_BACKEND)'],
  ])('is refused elsewhere: %j, %j', async (args, env, found) => {
    const { code, stdout, stderr } = await kvgen(['-m', stories, ...args, 'x'], { env });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    const what = 'its weights are int8, which needs --backend simd and --weights int8';
    const next = 'leave that out, or name the folder that it was made from';
    expect(stderr).toBe(`kvgen: ${stories}: ${what}, found ${found}; ${next}\n`);
  });
});

describe('--perplexity', () => {
  const text = 'Once upon a time there was a dog. He was happy.\n<|endoftext|>\nThe cat sat in the sun all day.\n';
  const lossOf = async (dir: string, file: string, ...args: string[]) => {
    const { stdout } = await kvgen(['score', '-m', dir, '--backend', 'simd', '--perplexity', file, '--json', ...args]);
    return JSON.parse(stdout).loss as number;
  };

  it.each([
    ['document by document', text, ['--per-document']],
    ['as one text', text.replace('<|endoftext|>', ''), []],
  ])('measures what `kvgen score` measures, %s', async (_, content, args) => {
    const [dir, file] = [join(tempDir(), 'out'), join(tempDir(), 'some.txt')];
    writeFileSync(file, content);
    const { code, stdout, stderr } = await kvgen(['quantize', 'stories', '-o', dir, '--perplexity', file, '--verbose']);
    const [before, after] = [await lossOf('stories', file, ...args), await lossOf(dir, file, ...args)];
    expect(before).not.toBe(after);
    const difference = `${after < before ? '−' : '+'}${Math.abs(after - before).toFixed(4)}`;
    const loss = `${before.toFixed(4)} → ${after.toFixed(4)} nats per token (${difference})`;
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${dir}: weights 7.1 MB → 4.0 MB · loss ${loss}\n` });
    expect(stderr).toMatch(/^25 matrices in int8, 51 other tensors · \d+ threads? · \d+\.\d s\n$/);
    expect(readFileSync(join(dir, 'README.md'), 'utf8')).toContain(`Loss on \`some.txt\`: ${loss}.\n`);
  });

  it('needs a text that can be scored, and a tokenizer', async () => {
    const [out, file] = [join(tempDir(), 'out'), join(tempDir(), 'empty.txt')];
    const refused = async (model: string, path: string) => {
      const { code, stdout, stderr } = await kvgen(['quantize', model, '-o', out, '--perplexity', path]);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(readdirSync(join(out, '..'))).toEqual([]);
      return stderr;
    };
    expect(await refused('stories', file)).toMatch(
      /^kvgen: .*empty\.txt: the text cannot be read \(there is no such file\)\n$/,
    );
    writeFileSync(file, '');
    expect(await refused('stories', file)).toBe(`kvgen: ${file}: expected a text of two tokens or more, found fewer\n`);
    expect(await refused(writeModel(tempDir()), file)).toMatch(/^kvgen: .*: no tokenizer: .*\n$/);
  });
});

it('a folder without a tokenizer stays one', async () => {
  const dir = join(tempDir(), 'tiny');
  expect(await kvgen(['quantize', writeModel(tempDir()), '-o', dir, '-q'])).toMatchObject({ code: 0, stderr: '' });
  expect(readdirSync(dir).sort()).toEqual(['README.md', 'config.json', 'model.safetensors']);
  const { json } = await kvgenJson(['-m', dir, '--prompt-ids', '1,2', '-n', '3', '--seed', '1']);
  expect(json.ids).toHaveLength(3);
});

describe('refused', () => {
  it.each([
    [[], 'expected a model: kvgen quantize <dir or name> -o <folder>'],
    [['stories'], 'expected --output, the folder to write: kvgen quantize <dir or name> -o <folder>'],
    [['stories', 'x', '-o', 'y'], 'expected at most 1 argument, got 2: `kvgen quantize --help`'],
    [['stories', '-o', ''], '--output must not be empty'],
    [['stories', '-o', 'x', '--verbose', '-q'], '--quiet cannot go with --verbose'],
    [['stories', '-o', 'x', '--threads', '1000'], '--threads must be from 1 to'],
    [['stories', '-o', 'x', '--backend', 'node'], "unknown option '--backend'"],
  ])('%j: exit 2', async (args, message) => {
    const cwd = tempDir();
    const { code, stdout, stderr } = await kvgen(['quantize', ...args], { cwd });
    expect({ code, stdout, left: readdirSync(cwd) }).toEqual({ code: 2, stdout: '', left: [] });
    expect(stderr).toMatch(/^kvgen: [^\n]*\n$/);
    expect(stderr).toContain(message);
  });

  it('what is int8 already, what is not found, and a target that is there', async () => {
    const cwd = tempDir();
    mkdirSync(join(cwd, 'full', 'x'), { recursive: true });
    writeFileSync(join(cwd, 'file'), 'mine');
    const broken = join(tempDir(), 'broken');
    cpSync(BYTES, broken, { recursive: true });
    rmSync(join(broken, 'model.safetensors'));
    const rows: [args: string[], message: string][] = [
      [[stories, '-o', 'out'], `${stories}: its weights are int8 already; name the folder that it was made from`],
      [['no-such-model', '-o', 'out'], "model 'no-such-model' not found in "],
      [[broken, '-o', 'out'], `${broken}: neither model.safetensors nor `],
      [['stories', '-o', 'full'], 'full: exists and is not empty; choose another folder, or remove it first'],
      [['stories', '-o', 'file'], 'file: is a file; choose another name for the folder'],
      [['stories', '-o', 'no/such/folder'], 'no/such/folder: cannot be written (ENOENT: '],
    ];
    for (const [args, message] of rows) {
      const { code, stdout, stderr } = await kvgen(['quantize', ...args], { cwd });
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toMatch(/^kvgen: [^\n]*\n$/);
      expect(stderr).toContain(message);
    }
    expect(readdirSync(cwd).sort()).toEqual(['file', 'full']);
  });
});

it.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s leaves nothing', async (signal, exitCode) => {
  const cwd = tempDir();
  const text = join(tempDir(), 'long.txt');
  writeFileSync(text, 'Once upon a time there was a little dog who lived in the woods. '.repeat(4000));
  const { child, end } = start(['quantize', 'stories', '-o', 'out', '--perplexity', text], { cwd });
  while (readdirSync(cwd).length === 0) {
    await sleep(20);
  }
  child.kill(signal);
  expect(await end()).toMatchObject({ code: exitCode, signal: null, stdout: '', stderr: '' });
  expect(readdirSync(cwd)).toEqual([]);
});
