// What lies in the cache after a pull, where it lies, and which files of a repository are fetched at all.

import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { expectFailure } from '../support/errors.js';
import { tempDirs } from '../support/temp-dir.js';
import { FakeHub, hashOf, json } from './fake-hub.js';
import { blobs, COMMIT, pullFrom, randomBytes, read } from './pulls.js';

const tempDir = tempDirs();
const WEIGHTS = randomBytes(300_000);
let hub: FakeHub;
let cache: string;

beforeEach(async () => {
  hub = await new FakeHub().listen();
  cache = join(tempDir(), 'hub');
});
afterEach(() => hub.close());

describe('the layout', () => {
  it('is that of huggingface_hub: blobs by hash, relative links, the commit of the revision', async () => {
    const { files } = hub.add('me/model', { 'config.json': '{}', 'model.safetensors': WEIGHTS, 'README.md': '#' });
    const { dir, said } = await pullFrom(hub, cache);
    const root = join(cache, 'models--me--model');
    expect(dir).toBe(join(root, 'snapshots', COMMIT));
    expect(readFileSync(join(root, 'refs', 'main'), 'utf8')).toBe(COMMIT);
    const hash = (path: string) => hashOf(files.get(path) ?? { bytes: Buffer.of(), lfs: false });
    expect(blobs(cache)).toEqual([hash('config.json'), hash('model.safetensors')].sort());
    expect(readlinkSync(join(dir, 'model.safetensors'))).toBe(`../../blobs/${hash('model.safetensors')}`);
    expect(read(dir, 'model.safetensors').equals(WEIGHTS)).toBe(true);
    expect(readdirSync(dir).sort()).toEqual(['config.json', 'model.safetensors']);
    expect(said.files).toEqual(['config.json', 'model.safetensors']);
  });

  it('of a name without an owner has none either, although the hub sends it to another', async () => {
    hub.add('openai-community/gpt2', { 'config.json': '{}', 'model.safetensors': WEIGHTS });
    hub.renamed.set('gpt2', 'openai-community/gpt2');
    const { dir } = await pullFrom(hub, cache, { model: 'gpt2' });
    expect(dir).toBe(join(cache, 'models--gpt2', 'snapshots', COMMIT));
    expect(read(dir, 'model.safetensors').equals(WEIGHTS)).toBe(true);
  });

  it('has the files themselves where links cannot be made, two equal ones too', async () => {
    hub.add('me/model', { 'config.json': '{}', 'vocab.json': '{}', 'model.safetensors': WEIGHTS });
    const makeLink = async () => {
      throw Object.assign(new Error('not permitted'), { code: 'EPERM' });
    };
    const { dir } = await pullFrom(hub, cache, { makeLink });
    expect(lstatSync(join(dir, 'model.safetensors')).isFile()).toBe(true);
    expect([read(dir, 'config.json'), read(dir, 'vocab.json')].map(String)).toEqual(['{}', '{}']);
    expect(blobs(cache)).toEqual([]);
    expect((await pullFrom(hub, cache, { makeLink })).newFiles).toBe(0);
  });

  it('keeps what another commit has in common, and moves the revision on at last', async () => {
    hub.add('me/model', { 'config.json': '{}', 'model.safetensors': WEIGHTS });
    const first = await pullFrom(hub, cache);
    const commit = 'd'.repeat(40);
    hub.add('me/model', { 'config.json': '{"n_layer":2}', 'model.safetensors': WEIGHTS }, commit);
    const { dir, said } = await pullFrom(hub, cache);
    expect(said.files).toEqual(['config.json']);
    expect(read(dir, 'model.safetensors').equals(WEIGHTS)).toBe(true);
    expect(read(first.dir, 'config.json').toString()).toBe('{}');
    expect(readFileSync(join(cache, 'models--me--model', 'refs', 'main'), 'utf8')).toBe(commit);
  });

  it('takes a revision by its name and by its commit', async () => {
    hub.add('me/model', { 'config.json': '{}', 'model.safetensors': WEIGHTS });
    await pullFrom(hub, cache, { revision: COMMIT });
    expect(existsSync(join(cache, 'models--me--model', 'refs'))).toBe(false);
    await expectFailure(() => pullFrom(hub, cache, { revision: 'v9' }), "me/model has no revision 'v9'");
  });
});

describe('what is here already', () => {
  beforeEach(() => void hub.add('me/model', { 'config.json': '{}', 'model.safetensors': WEIGHTS }));

  it('is not fetched again; only the list is asked for', async () => {
    await pullFrom(hub, cache);
    hub.seen.length = 0;
    const { newFiles, fetched } = await pullFrom(hub, cache);
    expect({ newFiles, fetched }).toEqual({ newFiles: 0, fetched: 0 });
    expect(hub.seen.filter(({ path }) => !path.startsWith('/api/'))).toEqual([]);
  });

  it('is enough without a network, if it is whole', async () => {
    const { dir } = await pullFrom(hub, cache);
    await hub.close();
    const again = await pullFrom(hub, cache);
    expect(again.dir).toBe(dir);
    expect(again.offline).toContain('cannot be reached');
    await expectFailure(() => pullFrom(hub, cache, { model: 'me/other' }), 'cannot be reached', 'network');
    writeFileSync(join(cache, 'models--me--model', 'refs', 'main'), 'd'.repeat(40));
    await expectFailure(() => pullFrom(hub, cache), 'cannot be reached');
    hub = await new FakeHub().listen();
  });

  it('of a wrong size is fetched again', async () => {
    const { dir } = await pullFrom(hub, cache);
    writeFileSync(join(dir, 'model.safetensors'), 'short'); // through the link, into the blob
    const { said } = await pullFrom(hub, cache);
    expect(said.files).toEqual(['model.safetensors']);
    expect(read(dir, 'model.safetensors').equals(WEIGHTS)).toBe(true);
  });
});

describe('which files', () => {
  const index = (...shards: string[]) =>
    JSON.stringify({ weight_map: Object.fromEntries(shards.map((shard, i) => [`h.${i}`, shard])) });
  const some = WEIGHTS.subarray(0, 1000);

  it.each<[string, Record<string, string | Uint8Array>, string[]]>([
    [
      'safetensors before PyTorch, no other formats',
      {
        'config.json': '{}',
        'tokenizer.json': '{}',
        'model.safetensors': some,
        'pytorch_model.bin': some,
        'model.onnx': some,
      },
      ['config.json', 'model.safetensors', 'tokenizer.json'],
    ],
    [
      'the shards that the index names',
      {
        'config.json': '{}',
        'model.safetensors.index.json': index('model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'),
        'model-00001-of-00002.safetensors': some,
        'model-00002-of-00002.safetensors': WEIGHTS.subarray(0, 999),
        'model-00003-of-00002.safetensors': WEIGHTS.subarray(0, 998),
      },
      [
        'config.json',
        'model-00001-of-00002.safetensors',
        'model-00002-of-00002.safetensors',
        'model.safetensors.index.json',
      ],
    ],
    [
      'PyTorch where there is nothing else',
      { 'config.json': '{}', 'vocab.json': '{}', 'merges.txt': '#', 'pytorch_model.bin': some, 'tf_model.h5': some },
      ['config.json', 'merges.txt', 'pytorch_model.bin', 'vocab.json'],
    ],
    ['the only GGUF file', { 'a.Q8_0.gguf': some, 'config.json': '{}', 'README.md': '#' }, ['a.Q8_0.gguf']],
    ['a checkpoint of nanoGPT', { 'ckpt.pt': some, 'meta.pkl': some }, ['ckpt.pt']],
    [
      'an adapter',
      { 'adapter_config.json': '{}', 'adapter_model.safetensors': some, 'adapter_model.bin': some },
      ['adapter_config.json', 'adapter_model.safetensors'],
    ],
  ])('%s', async (_, files, expected) => {
    hub.add('me/model', files);
    const { dir } = await pullFrom(hub, cache);
    expect(readdirSync(dir).sort()).toEqual(expected);
  });

  it('with config.json go its words, before the weights are fetched', async () => {
    hub.add('me/model', { 'config.json': '{"model_type":"bert"}', 'model.safetensors': some });
    const told: unknown[] = [];
    const onConfig = (text: string) => told.push(text, hub.requestsFor('model.safetensors').length);
    await pullFrom(hub, cache, { onConfig });
    expect(told).toEqual(['{"model_type":"bert"}', 0]);
  });

  it('with an adapter go the name of what it is an adapter of', async () => {
    hub.add('me/model', { 'adapter_config.json': '{"base_model_name_or_path":"gpt2"}', 'adapter_model.bin': some });
    expect((await pullFrom(hub, cache)).base).toBe('gpt2');
    hub.add('me/model', { 'adapter_config.json': '{"base_model_name_or_path":"/tmp/x"}', 'adapter_model.bin': some });
    expect((await pullFrom(hub, cache)).base).toBe(undefined);
  });

  it.each<[string, Record<string, string | Uint8Array>, string[]]>([
    ['ONNX and Flax', { 'config.json': '{}', 'flax_model.msgpack': some, 'onnx/model.onnx': some }, ['ONNX, Flax']],
    ['GGUF', { 'a.Q4_K.gguf': some, 'a.Q8_0.gguf': some }, ['2 GGUF files', '--file "a.Q8_0.gguf"']],
    ['nothing but words', { 'README.md': '#' }, ['README.md']],
    ['models in folders', { 'README.md': '#', '117M/config.json': '{}' }, ['it has 117M/, README.md; --file']],
    ['weights alone', { 'model.safetensors': some }, ['without config.json', '--file']],
    ['nothing', {}, ['no files']],
    [
      'an index without its shards',
      { 'config.json': '{}', 'model.safetensors.index.json': index('a.bin') },
      ['"a.bin"'],
    ],
    ['an index of nothing', { 'config.json': '{}', 'model.safetensors.index.json': '[]' }, ['weight_map']],
    ['an index that is none', { 'config.json': '{}', 'model.safetensors.index.json': '{' }, ['expected JSON']],
  ])('of a repository with %s says so', async (_, files, fragments) => {
    hub.add('me/model', files);
    await expectFailure(() => pullFrom(hub, cache), 'me/model', ...fragments);
  });

  it('those that a pattern names, in folders too', async () => {
    hub.add('me/model', { 'README.md': '#', 'a-Q4.gguf': some, 'q8/a-Q8_0.gguf': some, 'config.json': '{}' });
    const { dir } = await pullFrom(hub, cache, { patterns: ['*Q8_0.gguf'] });
    expect(readdirSync(dir, { recursive: true }).sort()).toEqual(['q8', 'q8/a-Q8_0.gguf']);
    expect(readlinkSync(join(dir, 'q8', 'a-Q8_0.gguf'))).toMatch(/^\.\.\/\.\.\/\.\.\/blobs\/[0-9a-f]{64}$/);
    await expectFailure(() => pullFrom(hub, cache, { patterns: ['*.bin'] }), 'no file matches "*.bin"', 'a-Q4.gguf');
  });
});

describe('a hub that lies', () => {
  const tree = (...entries: unknown[]) => {
    hub.add('me/model', { 'config.json': '{}', 'model.safetensors': WEIGHTS });
    hub.misbehave = ({ path }, response) => {
      if (!path.includes('/tree/')) {
        return false;
      }
      json(response, entries);
      return true;
    };
  };
  const entry = (path: unknown, more: object = {}) => ({ type: 'file', path, size: 2, oid: 'a'.repeat(40), ...more });

  it.each(['../x', '/etc/x', 'a/../../x', 'a//b', '.', '', 'a\0b', 5, null])(
    'about the path %j is refused',
    async (path) => {
      tree(entry('config.json'), entry(path));
      await expectFailure(() => pullFrom(hub, cache, { patterns: ['*'] }), 'no path inside a repository');
      expect(existsSync(cache)).toBe(false);
    },
  );

  it.each(['a\\b', 'a\u001b[2J', 'a\nb', 'a\u202eb'])('about the name %j is refused', async (path) => {
    tree(entry(path));
    await expectFailure(() => pullFrom(hub, cache, { patterns: ['*'] }), 'characters that a file');
    expect(existsSync(cache)).toBe(false);
  });

  it('with names that differ in case alone is refused', async () => {
    tree(entry('A.gguf'), entry('a.GGUF'));
    await expectFailure(() => pullFrom(hub, cache, { patterns: ['*'] }), '"A.gguf" and "a.GGUF"');
  });

  it.each([
    [{ oid: '../../x' }, 'expected a hash of 40'],
    [{ oid: undefined }, 'expected a hash of 40'],
    [{ lfs: { oid: 'A'.repeat(64), size: 2 } }, 'expected a hash of 64'],
    [{ size: -1 }, 'expected its size'],
    [{ size: 2 ** 60 }, 'expected its size'],
    [{ size: '2' }, 'expected its size'],
  ])('about %j is refused', async (more, words) => {
    tree(entry('config.json', more));
    await expectFailure(() => pullFrom(hub, cache), words);
  });

  it.each(['../../x', 'abc', 5, undefined, 'C'.repeat(40)])('about the commit %j is refused', async (sha) => {
    hub.misbehave = ({ path }, response) => {
      json(response, { sha, lastModified: '2026-01-01' });
      return path !== '';
    };
    await expectFailure(() => pullFrom(hub, cache), 'expected a commit');
    expect(existsSync(cache)).toBe(false);
  });

  it('with a list that does not end, or goes on elsewhere, is left', async () => {
    hub.add('me/model', {});
    let next = `${hub.url}/api/models/me/model/tree/again`;
    hub.misbehave = ({ path }, response) => {
      if (path.includes('/tree/')) {
        response.setHeader('link', `<${next}>; rel="next"`);
        json(response, []);
      }
      return path.includes('/tree/');
    };
    await expectFailure(() => pullFrom(hub, cache), 'does not end');
    next = `${hub.lfsUrl}/api/models/me/model/tree/again`;
    await expectFailure(() => pullFrom(hub, cache), 'another host');
  });

  it.each([{}, null, 5, 'x', [null], [5]])('with the answer %j is no hub', async (answer) => {
    hub.add('me/model', {});
    for (const part of ['/tree/', '/revision/']) {
      hub.misbehave = ({ path }, response) => {
        if (path.includes(part)) {
          json(response, answer);
        }
        return path.includes(part);
      };
      await expectFailure(() => pullFrom(hub, cache), hub.url);
    }
  });

  it('with a page that is no JSON is no hub', async () => {
    hub.misbehave = (_, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Please log in</html>');
      return true;
    };
    await expectFailure(() => pullFrom(hub, cache), 'expected JSON, got "text/html"', 'login page');
  });

  it('about shards outside is refused', async () => {
    const weightMap = JSON.stringify({ weight_map: { a: '../../../x.safetensors' } });
    hub.add('me/model', { 'config.json': '{}', 'model.safetensors.index.json': weightMap });
    await expectFailure(() => pullFrom(hub, cache), 'weight_map must name files');
  });
});

describe('links in the cache', () => {
  it.each(['models--me--model', 'models--me--model/blobs', 'models--me--model/snapshots', 'models--me--model/refs'])(
    'nothing is written through one at %s',
    async (path) => {
      hub.add('me/model', { 'config.json': '{}', 'model.safetensors': WEIGHTS });
      const outside = tempDir();
      mkdirSync(join(cache, path, '..'), { recursive: true });
      symlinkSync(outside, join(cache, path));
      await expectFailure(() => pullFrom(hub, cache), join(cache, path), 'found a link');
      expect(readdirSync(outside)).toEqual([]);
    },
  );

  it('one in the place of a file is replaced', async () => {
    hub.add('me/model', { 'config.json': '{}', 'model.safetensors': WEIGHTS });
    const outside = join(tempDir(), 'mine');
    writeFileSync(outside, 'mine');
    const root = join(cache, 'models--me--model');
    mkdirSync(join(root, 'snapshots', COMMIT), { recursive: true });
    mkdirSync(join(root, 'refs'));
    symlinkSync(outside, join(root, 'snapshots', COMMIT, 'config.json'));
    symlinkSync(outside, join(root, 'refs', 'main'));
    const { dir } = await pullFrom(hub, cache);
    expect(read(dir, 'config.json').toString()).toBe('{}');
    expect(readFileSync(outside, 'utf8')).toBe('mine');
    expect(readFileSync(join(root, 'refs', 'main'), 'utf8')).toBe(COMMIT);
  });
});
