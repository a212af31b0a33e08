// Where a model is looked for: a path, the package, the user's data, the Hugging Face cache of this machine.

import { mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { findModel, listModels, weightBytes } from '../../src/weights/find.js';
import { expectFailure } from '../support/errors.js';
import { HOSTILE, hasPipes } from '../support/hostile.js';
import { tempDirs } from '../support/temp-dir.js';

const tempDir = tempDirs();
let home: string;

beforeEach(() => {
  home = tempDir();
  vi.stubEnv('HOME', home);
  for (const name of ['HF_HOME', 'HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE', 'XDG_CACHE_HOME', 'XDG_DATA_HOME']) {
    vi.stubEnv(name, undefined);
  }
});
afterEach(() => vi.unstubAllEnvs());

function makeModel(...path: string[]): string {
  const dir = join(...path);
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'config.json'), '{}');
  return dir;
}

/** A snapshot as huggingface_hub lays it out; `main`, where given, points to it. */
function makeSnapshot(hub: string, folder: string, revision: string, main?: string): string {
  const dir = makeModel(hub, folder, 'snapshots', revision);
  if (main !== undefined) {
    mkdirSync(join(hub, folder, 'refs'), { recursive: true });
    writeFileSync(join(hub, folder, 'refs', 'main'), `${main}\n`);
  }
  return dir;
}

describe('a path', () => {
  it('is the folder it names', () => {
    const dir = makeModel(home, 'some', 'model');
    expect(findModel(dir)).toEqual({ name: 'model', dir, source: 'path' });
    expect(findModel(`${dir}/`)).toEqual({ name: 'model', dir, source: 'path' });
  });

  it('that does not exist is refused with what belongs there', async () => {
    await expectFailure(() => findModel(join(home, 'x', 'none')), join(home, 'x', 'none'), 'config.json and model');
    writeFileSync(join(home, 'file'), '');
    await expectFailure(() => findModel(join(home, 'file')), `file: a file; name its folder: -m ${home}`);
  });

  it('of owner and name may also be a repository in the cache', () => {
    const hub = join(home, '.cache', 'huggingface', 'hub');
    const dir = makeSnapshot(hub, 'models--someone--gpt2-tales', 'abc', 'abc');
    expect(findModel('someone/gpt2-tales')).toEqual({ name: 'someone/gpt2-tales', dir, source: 'hugging face cache' });
  });
});

it.each(['someone/gpt2-tales', 'gpt2-medium/x.y'])('%s, which is not here, is told how it is fetched', async (name) => {
  const { message } = await expectFailure(() => findModel(name), `model '${name}' not found`, `kvgen pull ${name}`);
  expect(message).toContain(join(home, '.cache', 'huggingface', 'hub'));
});

it.each(['./tales', 'a/b/c', '../tales', 'a--b/c'])('%s is a path, which no hub has', async (path) => {
  const { message } = await expectFailure(() => findModel(path), 'not found or not a folder');
  expect(message).not.toContain('kvgen pull');
});

describe('a name', () => {
  it('is found in the package', () => {
    expect(findModel('stories')).toMatchObject({ name: 'stories', source: 'package' });
  });

  it('is found in the user’s data folder', () => {
    vi.stubEnv('XDG_DATA_HOME', join(home, 'data'));
    const dir = makeModel(home, 'data', 'kvgen', 'models', 'mine');
    mkdirSync(join(home, 'data', 'kvgen', 'models', 'empty'));
    expect(findModel('mine')).toEqual({ name: 'mine', dir, source: 'user' });
    expect(listModels().models.filter(({ source }) => source === 'user')).toEqual([
      { name: 'mine', dir, source: 'user' },
    ]);
  });

  it.each([
    ['models--gpt2', 'gpt2'],
    ['models--openai-community--gpt2', 'gpt2'],
    ['models--someone--tales', 'tales'],
  ])('is found in the Hugging Face cache as %s', (folder, name) => {
    const dir = makeSnapshot(join(home, '.cache', 'huggingface', 'hub'), folder, 'abc', 'abc');
    expect(findModel(name)).toEqual({ name, dir, source: 'hugging face cache' });
  });

  it('prefers the repository of its own name, then openai-community’s', () => {
    const hub = join(home, '.cache', 'huggingface', 'hub');
    makeSnapshot(hub, 'models--a--gpt2', '1', '1');
    const official = makeSnapshot(hub, 'models--openai-community--gpt2', '2', '2');
    expect(findModel('gpt2').dir).toBe(official);
    const own = makeSnapshot(hub, 'models--gpt2', '3', '3');
    expect(findModel('gpt2').dir).toBe(own);
  });

  it('of a part of a repository’s name is not found', async () => {
    makeSnapshot(join(home, '.cache', 'huggingface', 'hub'), 'models--a--distilgpt2', '1', '1');
    await expectFailure(() => findModel('gpt2'), "model 'gpt2' not found");
  });

  it('that is not found says where it was looked for, and how to get it', async () => {
    vi.stubEnv('XDG_DATA_HOME', join(home, 'data'));
    const { message } = await expectFailure(() => findModel('gpt2'), "model 'gpt2' not found in", 'kvgen models');
    expect(message).toContain(join(home, '.cache', 'huggingface', 'hub'));
    expect(message).toContain(join(home, 'data', 'kvgen', 'models'));
    expect(message).toContain('kvgen pull openai-community/gpt2');
    expect(message).toContain('-m ./gpt2');
  });
});

describe('the Hugging Face cache', () => {
  it.each([
    ['HF_HUB_CACHE', 'cache', ['cache']],
    ['HUGGINGFACE_HUB_CACHE', 'older', ['older']],
    ['HF_HOME', 'hf', ['hf', 'hub']],
    ['XDG_CACHE_HOME', 'xdg', ['xdg', 'huggingface', 'hub']],
  ])('is where %s says', (variable, value, path) => {
    vi.stubEnv(variable, join(home, value));
    const dir = makeSnapshot(join(home, ...path), 'models--gpt2', 'abc', 'abc');
    expect(findModel('gpt2').dir).toBe(dir);
  });

  it('may be named from the home of the user on', () => {
    vi.stubEnv('HF_HOME', '~/hf');
    const dir = makeSnapshot(join(home, 'hf', 'hub'), 'models--gpt2', 'abc', 'abc');
    expect(findModel('gpt2').dir).toBe(dir);
  });

  it('HF_HUB_CACHE wins over HF_HOME', () => {
    vi.stubEnv('HF_HOME', join(home, 'hf'));
    vi.stubEnv('HF_HUB_CACHE', join(home, 'hub'));
    makeSnapshot(join(home, 'hf', 'hub'), 'models--gpt2', 'old', 'old');
    const dir = makeSnapshot(join(home, 'hub'), 'models--gpt2', 'new', 'new');
    expect(findModel('gpt2').dir).toBe(dir);
  });

  it('gives the snapshot of main, else the newest', () => {
    const hub = join(home, '.cache', 'huggingface', 'hub');
    const main = makeSnapshot(hub, 'models--gpt2', 'aaa', 'aaa');
    const other = makeSnapshot(hub, 'models--gpt2', 'bbb');
    utimesSync(main, 1, 1);
    expect(findModel('gpt2').dir).toBe(main);
    writeFileSync(join(hub, 'models--gpt2', 'refs', 'main'), 'gone');
    expect(findModel('gpt2').dir).toBe(other);
  });

  it('lists models with owner and name, and nothing else that lies there', () => {
    const hub = join(home, '.cache', 'huggingface', 'hub');
    const dir = makeSnapshot(hub, 'models--a--b', '1', '1');
    makeSnapshot(hub, 'datasets--a--c', '1', '1');
    mkdirSync(join(hub, 'models--a--d', 'snapshots', '1'), { recursive: true }); // no config.json
    const found = listModels().models.filter(({ source }) => source === 'hugging face cache');
    expect(found).toEqual([{ name: 'a/b', dir, source: 'hugging face cache' }]);
  });
});

describe.runIf(hasPipes)('what cannot be read stands in no other model’s way', () => {
  let hub: string;
  let models: string;
  beforeEach(() => {
    hub = join(home, 'hub');
    models = join(home, 'data', 'kvgen', 'models');
    vi.stubEnv('HF_HUB_CACHE', hub);
    vi.stubEnv('XDG_DATA_HOME', join(home, 'data'));
  });

  const names = () => listModels().models.map(({ name }) => name);
  it.each(HOSTILE)('$name as a config.json', async ({ put, words }) => {
    makeModel(models, 'mine');
    mkdirSync(join(models, 'bad'));
    await put(join(models, 'bad', 'config.json'));
    expect(names()).toEqual(['stories', 'mine']);
    expect(listModels().problems).toEqual([expect.stringMatching(`bad/config.json: .*${words}`)]);
    await expectFailure(() => findModel('bad'), "model 'bad' not found", 'bad/config.json: ', words);
    expect(findModel('mine').source).toBe('user');
  });

  it.each(HOSTILE)('$name as a folder of the Hugging Face cache', async ({ put }) => {
    makeSnapshot(hub, 'models--a--b', '1', '1');
    await put(join(hub, 'models--a--bad'));
    expect(names()).toEqual(['stories', 'a/b']);
    expect(findModel('b').name).toBe('b');
    await expectFailure(() => findModel('bad'), "model 'bad' not found");
  });

  it.each(HOSTILE)('$name as the name of the newest revision', async ({ put }) => {
    const dir = makeSnapshot(hub, 'models--a--b', '1');
    mkdirSync(join(hub, 'models--a--b', 'refs'));
    await put(join(hub, 'models--a--b', 'refs', 'main'));
    expect(findModel('b').dir).toBe(dir);
    expect(listModels().problems).toHaveLength(1);
  });

  it.each(HOSTILE)('$name as a snapshot', async ({ put }) => {
    const dir = makeSnapshot(hub, 'models--a--b', 'good');
    await put(join(hub, 'models--a--b', 'snapshots', 'bad'));
    expect(findModel('b').dir).toBe(dir);
  });

  it.each(HOSTILE)('$name where the models of the user are', async ({ put }) => {
    mkdirSync(join(home, 'data', 'kvgen'), { recursive: true });
    await put(models);
    makeSnapshot(hub, 'models--a--b', '1', '1');
    expect(names()).toEqual(['stories', 'a/b']);
    expect(findModel('stories').source).toBe('package');
  });

  it.each(HOSTILE)('$name where the Hugging Face cache is', async ({ put }) => {
    await put(hub);
    makeModel(models, 'mine');
    expect(names()).toEqual(['stories', 'mine']);
    expect(findModel('mine').source).toBe('user');
    await expectFailure(() => findModel('gpt2'), "model 'gpt2' not found");
  });

  it('a path that leads in a circle is refused with the reason', async () => {
    symlinkSync('loop', join(home, 'loop'));
    const line = `model folder ${home}/loop: it is a link that leads in a circle; a model folder holds`;
    await expectFailure(() => findModel(join(home, 'loop')), line);
  });

  it('weights that cannot be looked at count nothing', () => {
    const dir = makeModel(home, 'weights');
    writeFileSync(join(dir, 'a.safetensors'), new Uint8Array(5));
    symlinkSync('b.safetensors', join(dir, 'b.safetensors'));
    expect(weightBytes({ dir })).toBe(5);
    expect(weightBytes({ dir: join(home, 'none') })).toBe(0);
  });
});

it('weightBytes counts the files that are read', () => {
  const dir = makeModel(home, 'weights');
  const put = (name: string, bytes: number) => writeFileSync(join(dir, name), new Uint8Array(bytes));
  put('model.safetensors.index.json', 2);
  expect(weightBytes({ dir })).toBe(0);
  put('ckpt.pt', 3);
  expect(weightBytes({ dir })).toBe(3);
  put('pytorch_model-00001-of-00002.bin', 40);
  put('pytorch_model-00002-of-00002.bin', 2);
  put('training_args.bin', 9);
  expect(weightBytes({ dir })).toBe(42);
  put('pytorch_model.bin', 50);
  expect(weightBytes({ dir })).toBe(50);
  put('a.safetensors', 5);
  put('b.safetensors', 7);
  expect(weightBytes({ dir })).toBe(12);
});

it('a checkpoint of nanoGPT is a model without config.json', () => {
  vi.stubEnv('XDG_DATA_HOME', home);
  const dir = join(home, 'kvgen', 'models', 'nano');
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'ckpt.pt'), '');
  expect(findModel('nano')).toEqual({ name: 'nano', dir, source: 'user' });
});
