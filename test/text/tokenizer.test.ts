import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KvgenError } from '../../src/errors.js';
import { ModelFolder } from '../../src/files/model-folder.js';
import { hasTokenizer, loadTokenizer } from '../../src/text/tokenizer.js';

const STORIES = 'models/stories';
const GPT2 = 'test/fixtures/gpt2-tokenizer';
const readJson = async (file: string) => JSON.parse(await readFile(file, 'utf8'));

const stories = await loadTokenizer(new ModelFolder(STORIES));
const gpt2 = await loadTokenizer(new ModelFolder(GPT2));
const cases: { text: string; ids: number[] }[] = await readJson('test/fixtures/tokenizer-cases.json');
// both made by Python's tokenizers 0.23.3; this one with the characters in which \s of JavaScript and of Rust differ
const more: { text: string; gpt2: number[]; stories: number[] }[] = await readJson('test/fixtures/tokenizer-more.json');

describe('encoding equals that of Hugging Face', () => {
  it.each(cases)('gpt2: $text', ({ text, ids }) => {
    expect(gpt2.encode(text)).toEqual(ids);
  });

  it.each(more)('both: $text', (expected) => {
    expect(gpt2.encode(expected.text)).toEqual(expected.gpt2);
    expect(stories.encode(expected.text)).toEqual(expected.stories);
  });

  it('a lone surrogate is U+FFFD', () => {
    expect(gpt2.encode('a\ud800b')).toEqual(gpt2.encode('a\ufffdb'));
  });

  it('100 kB without a space come to an end', () => {
    expect(gpt2.encode('a'.repeat(100_000))).toHaveLength(25_000);
  });
});

describe('bytes', () => {
  it.each([
    ['stories', stories],
    ['gpt2', gpt2],
  ])('%s: the bytes of the ids are the text', (_, tokenizer) => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('<|endoftext|>', ' <|endoftext|>\n', '\ufeff a'),
    );
    fc.assert(
      fc.property(text, (value) => {
        const bytes = Buffer.concat(tokenizer.encode(value).map((id) => tokenizer.bytes(id)));
        expect(bytes.toString()).toBe(value);
      }),
    );
  });

  it('a token may be part of a character; no token is no bytes', () => {
    expect(Buffer.concat(gpt2.encode('人').map((id) => gpt2.bytes(id)))).toEqual(Buffer.from('人'));
    expect([...gpt2.bytes(162)]).toEqual([0xe6]);
    expect([...gpt2.bytes(188)]).toEqual([0]);
    expect([...gpt2.bytes(262)]).toEqual([...Buffer.from(' the')]);
    expect([...gpt2.bytes(60_000)]).toEqual([]);
  });

  it('knows its size, its end-of-text token and which ids have tokens', () => {
    expect([gpt2.size, gpt2.eosId, stories.size, stories.eosId]).toEqual([50257, 50256, 4096, 0]);
    expect([gpt2.has(50256), gpt2.has(50257), gpt2.has(-1), gpt2.has(0.5)]).toEqual([true, false, false, false]);
    expect(Buffer.from(gpt2.bytes(50256)).toString()).toBe('<|endoftext|>');
  });
});

describe('files', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'kvgen-tokenizer-'));
  });
  afterEach(() => rm(dir, { recursive: true }));
  const put = (name: string, content: unknown) =>
    writeFile(join(dir, name), typeof content === 'string' ? content : JSON.stringify(content));
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false };
  const model = { type: 'BPE', vocab: { a: 0, b: 1, ab: 3, ' ': 4 }, merges: ['a b'] };

  it('finds either form', async () => {
    expect([
      hasTokenizer(new ModelFolder(STORIES)),
      hasTokenizer(new ModelFolder(GPT2)),
      hasTokenizer(new ModelFolder(dir)),
    ]).toEqual([true, true, false]);
    await put('vocab.json', '{}');
    expect(hasTokenizer(new ModelFolder(dir))).toBe(false);
  });

  it('vocab.json and merges.txt give the ids of tokenizer.json', async () => {
    for (const name of ['vocab.json', 'merges.txt']) {
      await put(name, await readFile(join(STORIES, name), 'utf8'));
    }
    const tokenizer = await loadTokenizer(new ModelFolder(dir));
    for (const { text, stories: ids } of more) {
      expect(tokenizer.encode(text)).toEqual(ids);
    }
  });

  it('reads an old tokenizer.json: no model type, no null fields; holes in the ids; merges as strings', async () => {
    const added = [{ id: 6, content: '<é>', special: true }];
    const old = { ...model, type: undefined };
    await put('tokenizer.json', { model: old, pre_tokenizer: byteLevel, added_tokens: added });
    await put('tokenizer_config.json', { eos_token: { content: '<é>' } });
    const tokenizer = await loadTokenizer(new ModelFolder(dir));
    expect(tokenizer.encode('aab<é>b')).toEqual([0, 3, 6, 1]);
    expect([tokenizer.size, tokenizer.eosId, tokenizer.has(2), tokenizer.has(5)]).toEqual([7, 6, false, false]);
    expect(Buffer.from(tokenizer.bytes(6)).toString()).toBe('<é>');
    expect([...tokenizer.bytes(4)]).toEqual([0x20]); // outside the byte alphabet: as it is written
  });

  it('adds a space in front where the file or the configuration says so', async () => {
    await put('vocab.json', { a: 0, Ġ: 1, Ġa: 2 });
    await put('merges.txt', '#version: 0.2\nĠ a\n');
    expect((await loadTokenizer(new ModelFolder(dir))).encode('a')).toEqual([0]);
    await put('tokenizer_config.json', { add_prefix_space: true });
    expect((await loadTokenizer(new ModelFolder(dir))).encode('a')).toEqual([2]);
  });

  it.each<[string, Record<string, unknown>, RegExp]>([
    ['none', {}, /: no tokenizer: expected tokenizer\.json, or vocab\.json and merges\.txt; download/],
    ['broken JSON', { 'tokenizer.json': '{"model":' }, /tokenizer\.json: not valid JSON .*; download the file again$/],
    ['not an object', { 'tokenizer.json': '[1]' }, /tokenizer\.json: expected a JSON object/],
    [
      'WordPiece',
      { 'tokenizer.json': { model: { type: 'WordPiece' } } },
      /expected a byte-level BPE tokenizer, got WordPiece/,
    ],
    [
      'Metaspace',
      { 'tokenizer.json': { model, pre_tokenizer: { type: 'Metaspace' } } },
      /got BPE with pre-tokenizer Metaspace/,
    ],
    [
      'no vocabulary',
      { 'tokenizer.json': { model: {}, pre_tokenizer: byteLevel } },
      /expected model\.vocab and model\.merges/,
    ],
    [
      'a negative id',
      { 'tokenizer.json': { model: { ...model, vocab: { a: -1 } }, pre_tokenizer: byteLevel } },
      /expected a token with an id from 0, got "a": -1/,
    ],
    [
      'a bad added token',
      { 'tokenizer.json': { model, pre_tokenizer: byteLevel, added_tokens: [null] } },
      /expected a token with an id from 0/,
    ],
    [
      'a single_word token',
      {
        'tokenizer.json': {
          model,
          pre_tokenizer: byteLevel,
          added_tokens: [{ id: 5, content: 'c', single_word: true }],
        },
      },
      /added token c: single_word is not supported/,
    ],
    [
      'an unknown normalizer',
      { 'tokenizer.json': { model, pre_tokenizer: byteLevel, normalizer: { type: 'Rot13' } } },
      /not a tokenizer that can be read \(Unknown Normalizer type: Rot13\)/,
    ],
    [
      'a bad merge',
      { 'vocab.json': '{"a":0}', 'merges.txt': 'a b c\n' },
      /merges\.txt: expected two tokens a line, got "a b c"/,
    ],
    [
      'a broken configuration',
      { 'tokenizer.json': { model }, 'tokenizer_config.json': '{' },
      /tokenizer_config\.json: not valid JSON/,
    ],
  ])('refuses %s in one line', async (_, files, message) => {
    for (const [name, content] of Object.entries(files)) {
      await put(name, content);
    }
    const error = await loadTokenizer(new ModelFolder(dir)).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(KvgenError);
    expect((error as KvgenError).message).toMatch(message);
    expect((error as KvgenError).message).not.toContain('\n');
  });
});
