// A model's folder: it remembers all that decides a result, whatever it is called, and whatever lies in the place of one of
// its files ends in one line.

import { appendFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CONFIG } from '../../src/files/file-kinds.js';
import { ModelFolder } from '../../src/files/model-folder.js';
import { folderSource } from '../../src/library/model.js';
import { loadTokenizer } from '../../src/text/tokenizer.js';
import { loadShape } from '../../src/weights/folder.js';
import { readCompanions } from '../../src/weights/int8-folder.js';
import { expectFailure } from '../support/errors.js';
import { HOSTILE, hasPipes, putSparse } from '../support/hostile.js';
import { randomTensors, TINY } from '../support/model-folder.js';
import { writeSafetensors } from '../support/safetensors.js';
import { tempDirs } from '../support/temp-dir.js';

const tempDir = tempDirs();
const INDEX = 'model.safetensors.index.json';
/** Files that it does not have: of an adapter, of a tokenizer. */
const NOT_THERE = [
  'adapter_config.json',
  'added_tokens.json',
  'special_tokens_map.json',
  'spiece.model',
  'tokenizer.json',
  'tokenizer.model',
  'vocab.txt',
];
const TOKENIZER_FILES = ['vocab.json', 'merges.txt', 'tokenizer_config.json'];

/** Two shards of names of their own, the tokenizer in two files, and all that may be there besides. */
function writeFolder(dir = tempDir()): string {
  const tensors = [...randomTensors(TINY)];
  writeSafetensors(join(dir, 'first'), new Map(tensors.slice(0, 9)));
  writeSafetensors(join(dir, 'second.bin'), new Map(tensors.slice(9)));
  const map = { 'wte.weight': 'first', 'ln_f.bias': 'second.bin' };
  writeFileSync(join(dir, INDEX), JSON.stringify({ weight_map: map }));
  writeFileSync(join(dir, 'config.json'), JSON.stringify(TINY));
  writeFileSync(join(dir, 'generation_config.json'), '{}');
  writeFileSync(join(dir, 'vocab.json'), JSON.stringify({ a: 0, b: 1, ab: 2 }));
  writeFileSync(join(dir, 'merges.txt'), 'a b\n');
  writeFileSync(join(dir, 'tokenizer_config.json'), '{}');
  writeFileSync(join(dir, 'README.md'), 'not opened');
  return dir;
}

/** Opens everything, as a run does that asks the answer cache. */
async function openAll(dir: string): Promise<ModelFolder> {
  const source = await folderSource({ name: 'test', dir, source: 'path' });
  await loadTokenizer(source.folder);
  await source.checkWeights();
  return source.folder;
}

const opened = ({ files }: ModelFolder) => [...files].filter(([, state]) => state !== null).map(([name]) => name);
const missed = ({ files }: ModelFolder) => [...files].filter(([, state]) => state === null).map(([name]) => name);

describe('what was opened is known', () => {
  it('by whatever names', async () => {
    const folder = await openAll(writeFolder());
    const names = ['config.json', 'generation_config.json', INDEX, 'first', 'second.bin', ...TOKENIZER_FILES];
    expect(opened(folder).sort()).toEqual(names.sort());
    expect(missed(folder).sort()).toEqual(['model.safetensors', ...NOT_THERE].sort());
  });

  it('and what was looked for in vain', async () => {
    const dir = writeFolder();
    for (const name of ['generation_config.json', 'tokenizer_config.json']) {
      rmSync(join(dir, name));
    }
    const all = ['generation_config.json', 'model.safetensors', 'tokenizer_config.json', ...NOT_THERE];
    expect(missed(await openAll(dir)).sort()).toEqual(all.sort());
  });

  it('also where the folder is one of links, which are followed', async () => {
    const [blobs, dir] = [writeFolder(), tempDir()];
    for (const name of ['config.json', 'generation_config.json', INDEX, 'first', 'second.bin', ...TOKENIZER_FILES]) {
      symlinkSync(join(blobs, name), join(dir, name));
    }
    const [folder, plain] = [await openAll(dir), await openAll(blobs)];
    expect(folder.files).toEqual(plain.files);
    await folder.checkUnchanged();
    writeFileSync(join(blobs, 'config2'), JSON.stringify(TINY));
    symlinkSync(join(blobs, 'config2'), join(dir, 'link'));
    renameSync(join(dir, 'link'), join(dir, 'config.json'));
    await expectFailure(() => folder.checkUnchanged(), `${dir}/config.json: changed while`);
  });
});

describe('a file that changes is noticed', () => {
  it('when it is opened again', async () => {
    const dir = writeFolder();
    const folder = new ModelFolder(dir);
    await loadShape(folder);
    appendFileSync(join(dir, 'config.json'), ' ');
    const line = 'config.json: changed while the model was being loaded; run again';
    await expectFailure(() => folder.readText('config.json', CONFIG), line);
  });

  it('when it is not there any more, or is there now', async () => {
    const dir = writeFolder();
    const folder = new ModelFolder(dir);
    expect([folder.has('vocab.json'), folder.has('none')]).toEqual([true, false]);
    rmSync(join(dir, 'vocab.json'));
    await expectFailure(() => folder.readText('vocab.json', CONFIG), 'vocab.json: changed while');
    writeFileSync(join(dir, 'none'), '');
    await expectFailure(() => folder.readText('none', CONFIG), 'none: changed while');
  });
});

describe.runIf(hasPipes)('in the place of a file', () => {
  const names = ['config.json', 'generation_config.json', INDEX, 'first', 'second.bin', ...TOKENIZER_FILES];
  const others = [
    'model.safetensors',
    'tokenizer.json',
    'special_tokens_map.json',
    'added_tokens.json',
    'spiece.model',
  ];

  describe.each([...names, ...others])('%s', (name) => {
    it.each(HOSTILE)('$name: one line', async ({ put, words }) => {
      const dir = writeFolder();
      rmSync(join(dir, name), { force: true });
      await put(join(dir, name));
      await expectFailure(() => openAll(dir), `${join(dir, name)}: the `, ' cannot be read (', words);
    });
  });

  it.each([...names, ...others].filter((name) => !/first|second|model\.safetensors$/.test(name)))(
    '%s, gigabytes: one line',
    async (name) => {
      const dir = writeFolder();
      putSparse(join(dir, name), 3e9);
      await expectFailure(() => openAll(dir), `${join(dir, name)}: the `, 'may have at most', 'found 3000.0 MB');
    },
  );

  it.each(HOSTILE)('$name that is to be copied with an int8 folder: one line', async ({ put, words }) => {
    const dir = writeFolder();
    await put(join(dir, 'chat_template.jinja'));
    await expectFailure(() => readCompanions(new ModelFolder(dir)), 'chat_template.jinja', words);
  });
});

describe('a Git LFS pointer', () => {
  const POINTER = 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 548105171\n';

  it.each(['config.json', 'first', 'second.bin', 'vocab.json', 'merges.txt', INDEX, 'tokenizer_config.json'])(
    '%s: the file, its size and what fetches it',
    async (name) => {
      const dir = writeFolder();
      writeFileSync(join(dir, name), POINTER);
      const words = `${join(dir, name)}: a Git LFS pointer to a file of 548.1 MB that was not fetched; \`git lfs pull\``;
      await expectFailure(() => openAll(dir), words, '`kvgen pull OWNER/NAME`');
    },
  );

  it('that is cut is one too; what only begins alike is none', async () => {
    const dir = writeFolder();
    writeFileSync(join(dir, 'config.json'), POINTER.slice(0, 50));
    await expectFailure(() => openAll(dir), 'config.json: a Git LFS pointer to a file that was not', 'git lfs pull');
    writeFileSync(join(dir, 'config.json'), POINTER.replace('548105171', '665'));
    await expectFailure(() => openAll(dir), 'config.json: a Git LFS pointer to a file of 665 bytes that was not');
    writeFileSync(join(dir, 'config.json'), `${POINTER}${' '.repeat(1024)}`);
    await expectFailure(() => openAll(dir), 'config.json: not JSON');
  });
});

it('a config that is nested too deep to be written again', async () => {
  const dir = writeFolder();
  writeFileSync(join(dir, 'config.json'), `{"x":${'['.repeat(50_000)}${']'.repeat(50_000)}}`);
  await expectFailure(() => readCompanions(new ModelFolder(dir)), 'config.json: nested too deep');
});

it('reading ends where the signal aborts', async () => {
  const controller = new AbortController();
  const folder = new ModelFolder(writeFolder(), controller.signal);
  controller.abort(new Error('stopped'));
  await expect(loadShape(folder)).rejects.toThrow('stopped');
});
