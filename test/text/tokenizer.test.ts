import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KvgenError } from '../../src/errors.js';
import { ModelFolder } from '../../src/files/model-folder.js';
import { hasTokenizer, loadTokenizer } from '../../src/text/tokenizer.js';
import { expectFailure } from '../support/errors.js';

const STORIES = 'models/stories';
const GPT2 = 'test/fixtures/gpt2-tokenizer';
const readJson = async (file: string) => JSON.parse(await readFile(file, 'utf8'));

const stories = await loadTokenizer(new ModelFolder(STORIES));
const gpt2 = await loadTokenizer(new ModelFolder(GPT2));
const cases: { text: string; ids: number[] }[] = await readJson('test/fixtures/tokenizer-cases.json');
// both made by Python's tokenizers 0.23.3; this one with the characters in which \s of JavaScript and of Rust differ
const more: { text: string; gpt2: number[]; stories: number[] }[] = await readJson('test/fixtures/tokenizer-more.json');

describe('encoding equals that of Hugging Face', () => {
  it.each(cases)('gpt2: $text', async ({ text, ids }) => {
    expect(await gpt2.encode(text)).toEqual(ids);
  });

  it.each(more)('both: $text', async (expected) => {
    expect(await gpt2.encode(expected.text)).toEqual(expected.gpt2);
    expect(await stories.encode(expected.text)).toEqual(expected.stories);
  });

  it('a lone surrogate is U+FFFD', async () => {
    expect(await gpt2.encode('a\ud800b')).toEqual(await gpt2.encode('a\ufffdb'));
  });

  it('100 kB without a space come to an end', async () => {
    expect(await gpt2.encode('a'.repeat(100_000))).toHaveLength(25_000);
  });
});

describe('bytes', () => {
  it.each([
    ['stories', stories],
    ['gpt2', gpt2],
  ])('%s: the bytes of the ids are the text', async (_, tokenizer) => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('<|endoftext|>', ' <|endoftext|>\n', '\ufeff a'),
    );
    await fc.assert(
      fc.asyncProperty(text, async (value) => {
        const bytes = Buffer.concat((await tokenizer.encode(value)).map((id) => tokenizer.bytes(id)));
        expect(bytes.toString()).toBe(value);
      }),
    );
  });

  it('a token may be part of a character; no token is no bytes', async () => {
    expect(Buffer.concat((await gpt2.encode('人')).map((id) => gpt2.bytes(id)))).toEqual(Buffer.from('人'));
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
      await hasTokenizer(new ModelFolder(STORIES)),
      await hasTokenizer(new ModelFolder(GPT2)),
      await hasTokenizer(new ModelFolder(dir)),
    ]).toEqual([true, true, false]);
    await put('vocab.json', '{}');
    expect(await hasTokenizer(new ModelFolder(dir))).toBe(false);
  });

  it('vocab.json and merges.txt give the ids of tokenizer.json', async () => {
    for (const name of ['vocab.json', 'merges.txt']) {
      await put(name, await readFile(join(STORIES, name), 'utf8'));
    }
    const tokenizer = await loadTokenizer(new ModelFolder(dir));
    for (const { text, stories: ids } of more) {
      expect(await tokenizer.encode(text)).toEqual(ids);
    }
  });

  it('reads an old tokenizer.json: no model type, no null fields; holes in the ids; merges as strings', async () => {
    const added = [{ id: 6, content: '<é>', special: true }];
    const old = { vocab: { a: 0, b: 1, ab: 3, ' ': 9 }, merges: ['a b'] };
    await put('tokenizer.json', { model: old, pre_tokenizer: byteLevel, added_tokens: added });
    await put('tokenizer_config.json', { eos_token: { content: '<é>' } });
    const tokenizer = await loadTokenizer(new ModelFolder(dir));
    // a token that the vocabulary does not have gets the next id, whatever the file says, as in the Rust library
    expect(await tokenizer.encode('aab<é>b')).toEqual([0, 3, 4, 1]);
    expect([tokenizer.size, tokenizer.eosId, tokenizer.has(2), tokenizer.has(5)]).toEqual([10, 4, false, false]);
    expect(Buffer.from(tokenizer.bytes(4)).toString()).toBe('<é>');
    expect([...tokenizer.bytes(9)]).toEqual([0x20]); // outside the byte alphabet: as it is written
  });

  it('adds a space in front where the file or the configuration says so', async () => {
    await put('vocab.json', { a: 0, Ġ: 1, Ġa: 2 });
    await put('merges.txt', '#version: 0.2\nĠ a\n');
    expect(await (await loadTokenizer(new ModelFolder(dir))).encode('a')).toEqual([0]);
    await put('tokenizer_config.json', { add_prefix_space: true });
    expect(await (await loadTokenizer(new ModelFolder(dir))).encode('a')).toEqual([2]);
  });

  it.each<[string, Record<string, unknown>, RegExp]>([
    [
      'none',
      {},
      /: no tokenizer: expected tokenizer\.json, vocab\.json and merges\.txt, .* or tokenizer\.model; download/,
    ],
    [
      'none beside a checkpoint of nanoGPT',
      { 'ckpt.pt': '' },
      /: no tokenizer: nanoGPT saves none; put GPT-2's vocab\.json and merges\.txt .*meta\.pkl.*, or give --prompt-ids$/,
    ],
    [
      'none of the names that are read, but one of SentencePiece',
      { 'sentencepiece.bpe.model': '' },
      /: no tokenizer: found sentencepiece\.bpe\.model, .*AutoTokenizer\.from_pretrained\(DIR\)\.save_pretrained/,
    ],
    [
      'those of OpenAI',
      { 'encoder.json': {}, 'vocab.bpe': '' },
      /: no tokenizer: found .*; rename encoder\.json to vocab\.json, and vocab\.bpe to merges\.txt$/,
    ],
    ['half of them', { 'vocab.json': {} }, /: no tokenizer: found vocab\.json without merges\.txt; fetch that too$/],
    ['broken JSON', { 'tokenizer.json': '{"model":' }, /tokenizer\.json: not valid JSON .*; download the file again$/],
    ['not an object', { 'tokenizer.json': '[1]' }, /tokenizer\.json: expected a JSON object/],
    [
      'Characters',
      { 'tokenizer.json': { model: { type: 'Characters' } } },
      /model\.type: expected a tokenizer of type BPE, WordPiece, Unigram, WordLevel, got "Characters"/,
    ],
    [
      'UnicodeScripts',
      { 'tokenizer.json': { model, pre_tokenizer: { type: 'UnicodeScripts' } } },
      /the pre-tokenizer UnicodeScripts is not supported/,
    ],
    [
      'no vocabulary',
      { 'tokenizer.json': { model: {}, pre_tokenizer: byteLevel } },
      /model\.vocab: expected an object/,
    ],
    [
      'no merges',
      { 'tokenizer.json': { model: { vocab: { a: 0 } }, pre_tokenizer: byteLevel } },
      /model\.merges: expected a list, found nothing; download the file again$/,
    ],
    [
      'a broken configuration',
      { 'tokenizer.json': { model }, 'tokenizer_config.json': '{' },
      /tokenizer_config\.json: not valid JSON/,
    ],
    [
      'a strange end of text',
      { 'tokenizer.json': { model }, 'tokenizer_config.json': { eos_token: 7 } },
      /tokenizer_config\.json: eos_token: expected an object, found 7/,
    ],
    [
      'a bad merge',
      { 'vocab.json': '{"a":0}', 'merges.txt': '#version\na b c\n' },
      /merges\.txt: expected two tokens a line, got "a b c"/,
    ],
    [
      'a merge without its token',
      { 'vocab.json': '{"a":0,"b":1}', 'merges.txt': '#version\na b\n' },
      /merges\.txt: the merge "a b" needs a token "ab", and the vocabulary has none; download the file again$/,
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

  const sequences = (depth: number): object =>
    depth === 0 ? byteLevel : { type: 'Sequence', pretokenizers: [sequences(depth - 1)] };
  const many = (count: number, part: object) => {
    const parts = Array.from({ length: count }, () => part);
    const sequence = { type: 'Sequence', normalizers: parts, pretokenizers: parts };
    return { type: 'Sequence', pretokenizers: parts.map(() => sequence) };
  };
  const withModel = (options: object) => ({ model: { ...model, ...options } });
  const split = (options: object) => ({
    pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Split', ...options }, byteLevel] },
  });

  const decoders = (...parts: object[]) => ({ type: 'Sequence', decoders: parts });

  it.each<[string, object]>([
    ['model.vocab: expected a token with an id in 0 … 1048575, found "a": -1', withModel({ vocab: { a: -1 } })],
    ['found "a": 2147483646', withModel({ vocab: { a: 2 ** 31 - 2 } })],
    ['found "a": 0.5', withModel({ vocab: { a: 0.5 } })],
    ['model.vocab: "a" and "b" have the same id 0', withModel({ vocab: { a: 0, b: 0 } })],
    ['model.merges: the merge ["a","c"] needs a token "c"', withModel({ merges: [['a', 'c']] })],
    ['the merge "b a" needs a token "ba"', withModel({ merges: ['a b', 'b a'] })],
    ['expected two tokens a line, got 5', withModel({ merges: [5] })],
    ['expected two tokens a line, got "ab"', withModel({ merges: ['ab'] })],
    ['expected two tokens a line, got ["a","b","c"]', withModel({ merges: [['a', 'b', 'c']] })],
    ['model.dropout: 0.1 is not supported', withModel({ dropout: 0.1 })],
    ['model.continuing_subword_suffix: "@@" is not supported', withModel({ continuing_subword_suffix: '@@' })],
    ['model.end_of_word_suffix: 101 characters', withModel({ end_of_word_suffix: '#'.repeat(101) })],
    ['model.unk_token: expected a text, found 3', withModel({ unk_token: 3 })],
    ['model.fuse_unk: expected true or false, found "no"', withModel({ fuse_unk: 'no' })],
    ['decoder: the decoder "CTC" is not supported', { decoder: { type: 'CTC' } }],
    ['decoder: expected an object, found []', { decoder: [] }],
    ['normalizer: the normalizer Rot13 is not supported', { normalizer: { type: 'Rot13' } }],
    ['normalizer.type: expected a text, found nothing', { normalizer: {} }],
    ['normalizer.content: expected a text', { normalizer: { type: 'Replace', pattern: { String: 'a' } } }],
    ['normalizer.normalizers: expected a list, found null', { normalizer: { type: 'Sequence', normalizers: null } }],
    ['pretokenizers[0]: the pre-tokenizer FixedLength is not', split({ type: 'FixedLength' })],
    ['pretokenizers[0].delimiter: expected one character', split({ type: 'CharDelimiterSplit', delimiter: 'ab' })],
    ['prepend_scheme: "last" is not', split({ type: 'Metaspace', replacement: '_', prepend_scheme: 'last' })],
    ['pretokenizers[0].pattern: expected an object, found nothing', split({})],
    ['pattern.Regex: expected a text, found nothing', split({ pattern: {} })],
    ['pattern.Regex: not a pattern that can be read (', split({ pattern: { Regex: '(' } })],
    ['pattern.String: a pattern must have 1 … 10000 characters, found 0', split({ pattern: { String: '' } })],
    ['pattern.Regex: a pattern must have 1 … 10000 characters', split({ pattern: { Regex: 'a'.repeat(10_001) } })],
    ['behavior: "Kept" is not supported', split({ pattern: { String: 'a' }, behavior: 'Kept' })],
    ['more than 16 sequences within each other, or', { pre_tokenizer: sequences(100) }],
    ['the decoder "Strip" beside ByteLevel is not', { decoder: decoders({ type: 'ByteLevel' }, { type: 'Strip' }) }],
    [
      'the decoder "ByteFallback" behind Fuse is not',
      { decoder: decoders({ type: 'Fuse' }, { type: 'ByteFallback' }) },
    ],
    ['decoder.start: expected a number', { decoder: { type: 'Strip', content: ' ', start: -1, stop: 0 } }],
    ['decoder.content: expected one character', { decoder: { type: 'Strip', content: '', start: 0, stop: 0 } }],
    ['added_tokens: expected a list, found {}', { added_tokens: {} }],
    ['added_tokens[0]: expected an object, found null', { added_tokens: [null] }],
    ['added_tokens[0].content: expected a text, found 7', { added_tokens: [{ id: 5, content: 7 }] }],
    ['added_tokens[0].id: expected an id in 0 … 1048575, found nothing', { added_tokens: [{ content: 'c' }] }],
    ['added_tokens[0].id: expected an id in 0 … 1048575, found -1', { added_tokens: [{ id: -1, content: 'a' }] }],
    ['an added token of 257 characters', { added_tokens: [{ id: 5, content: 'c'.repeat(257) }] }],
    ['more than 64 parts are not supported', { pre_tokenizer: many(9, byteLevel) }],
    ['or 64 parts of one, are not supported', { normalizer: many(65, { type: 'NFC' }).pretokenizers[0] }],
  ])('names what it does not do: %s', async (message, options) => {
    await put('tokenizer.json', { model, pre_tokenizer: byteLevel, ...options });
    const error = await expectFailure(() => loadTokenizer(new ModelFolder(dir)), message);
    expect(error.message.length).toBeLessThan(300);
  });
});
