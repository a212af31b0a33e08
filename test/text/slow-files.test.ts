// Tokenizers from files that are older than tokenizer.json: vocab.txt and models of SentencePiece. The ids are those that
// transformers gives for the same files.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ModelFolder } from '../../src/files/model-folder.js';
import { decodeAll } from '../../src/text/detokenizer.js';
import { loadTokenizer } from '../../src/text/tokenizer.js';
import { expectFailure } from '../support/errors.js';
import { tempDirs } from '../support/temp-dir.js';

const ROOT = fileURLToPath(new URL('../fixtures/tokenizers', import.meta.url));
const tempDir = tempDirs();

const bytesOf = (name: string) => readFileSync(join(ROOT, name));
const jsonOf = (name: string) => JSON.parse(readFileSync(join(ROOT, name), 'utf8'));

type Content = string | Uint8Array | object;

/** A folder with these files alone. */
function folder(files: Readonly<Record<string, Content>>): ModelFolder {
  const dir = tempDir();
  for (const [name, content] of Object.entries(files)) {
    const isRaw = typeof content === 'string' || content instanceof Uint8Array;
    writeFileSync(join(dir, name), isRaw ? content : JSON.stringify(content));
  }
  return new ModelFolder(dir);
}

const LLAMA = { 'tokenizer.model': bytesOf('sp-bpe-llama2/tokenizer.model') };
const T5 = { 'spiece.model': bytesOf('unigram-t5/spiece.model') };
const BERT = { 'vocab.txt': bytesOf('wordpiece-zh/vocab.txt') };

describe('the ids of tokenizer.json', () => {
  it.each([
    ['sp-bpe-llama2', 'tokenizer.model'],
    ['unigram-t5', 'spiece.model'],
    ['wordpiece-zh', 'vocab.txt'],
  ])('%s from %s', async (kind, file) => {
    const config = jsonOf(`${kind}/tokenizer_config.json`);
    const tokenizer = await loadTokenizer(
      folder({ [file]: bytesOf(`${kind}/${file}`), 'tokenizer_config.json': config }),
    );
    for (const { text, ids, ids_without_special_tokens: plain = ids, decoded } of jsonOf(`${kind}/cases.json`).cases) {
      const found = await tokenizer.encode(text);
      expect(found, text).toEqual(plain);
      expect([...tokenizer.around.before, ...found, ...tokenizer.around.behind]).toEqual(ids);
      expect(decodeAll(tokenizer, ids)).toBe(decoded);
    }
  });
});

describe('settings of the classes', () => {
  const llama = { tokenizer_class: 'LlamaTokenizer' };
  const t5 = { tokenizer_class: 'T5Tokenizer' };
  const bert = { tokenizer_class: 'BertTokenizer' };
  const ODD =
    '[PAD]\r\n[UNK]\r\n[CLS]\n[SEP]\n[MASK]\n\nhello\na\n##a\nworld\nhello\n你\n好\n \nb \n##\n__proto__\n12\n##34';

  it.each<[string, Record<string, Content>, object, string, number[]]>([
    ['Llama: a space before each part', LLAMA, llama, 'Hello <s> you', [300, 472, 279, 471, 1, 260, 487, 285]],
    ['legacy false', LLAMA, { ...llama, legacy: false }, 'Hello <s> you', [300, 472, 279, 471, 1, 445]],
    ['legacy false, spaces', LLAMA, { ...llama, legacy: false }, '  a', [260, 474]],
    ['add_prefix_space false', LLAMA, { ...llama, add_prefix_space: false }, 'Hello', [511, 472, 279]],
    ['add_prefix_space null', LLAMA, { ...llama, add_prefix_space: null }, 'Hello', [511, 472, 279]],
    ['Gemma: a tab that is only a byte', LLAMA, { tokenizer_class: 'GemmaTokenizer' }, 'you\tI', [487, 285, 534, 524]],
    ['T5: 100 extra ids', T5, t5, 'Hello <extra_id_0>.', [174, 229, 519, 3, 7]],
    ['T5 without a space', T5, { ...t5, add_prefix_space: false }, 'Hello', [226, 229]],
    ['T5 with a BOS of its own', T5, { ...t5, bos_token: '<s>', extra_ids: 0 }, 'Hello <s> 7', [174, 229, 420, 3, 126]],
    [
      'Albert',
      T5,
      { tokenizer_class: 'AlbertTokenizer' },
      "Hello  ``Café'' 25,",
      [3, 22, 37, 419, 209, 26, 27, 3, 193, 5],
    ],
    ['Reformer', T5, { tokenizer_class: 'ReformerTokenizer' }, "Hello  ``Café''", [174, 229, 3, 2, 109, 15, 19, 4, 4]],
    ['BERT, capitals', BERT, { ...bert, do_lower_case: false }, 'Hello 你好', [6, 122, 172]],
    [
      'accents stay',
      BERT,
      { ...bert, strip_accents: false, tokenize_chinese_chars: false },
      'Café 你好',
      [6, 122, 1814],
    ],
    ['CRLF, a line twice, empty ones', { 'vocab.txt': ODD }, bert, 'hello你好 1234 ab', [10, 11, 12, 17, 18, 1]],
  ])('%s', async (_, files, config, text, ids) => {
    const tokenizer = await loadTokenizer(folder({ ...files, 'tokenizer_config.json': config }));
    expect(await tokenizer.encode(text)).toEqual(ids);
  });

  it('vocab.txt is of BERT where nobody names a class, even in a GPT-2', async () => {
    const tokenizer = await loadTokenizer(folder({ ...BERT, 'config.json': { model_type: 'gpt2' } }));
    expect(await tokenizer.encode('你好')).toEqual([122, 172]);
    expect(tokenizer.around).toMatchObject({ before: [7], behind: [8] });
  });

  it('the settings of BERT count more than its tokenizer.json', async () => {
    const files = { 'tokenizer.json': bytesOf('wordpiece-zh/tokenizer.json') };
    const config = { ...bert, do_lower_case: false };
    const tokenizer = await loadTokenizer(folder({ ...files, 'tokenizer_config.json': config }));
    expect(await tokenizer.encode('Hello 你好')).toEqual([6, 122, 172]);
  });
});

describe('files that are not computed', () => {
  const field = (number: number, bytes: Uint8Array) => [8 * number + 2, bytes.length, ...bytes];
  const piece = (...bytes: number[]) => Uint8Array.from(field(1, Uint8Array.from(bytes)));
  const NAN = [0x15, 0, 0, 0xc0, 0x7f];
  const cut = (file: Uint8Array) => file.subarray(0, file.length - 3);

  it.each<[string, Record<string, Content>, object]>([
    ['no class is named that reads it, only AlbertTokenizer, GemmaTokenizer, LlamaTokenizer', T5, {}],
    ['the class "CpmTokenizer" is not supported for it', T5, { tokenizer_class: 'CpmTokenizer' }],
    ['the class "BertJapaneseTokenizer" is not supported', BERT, { tokenizer_class: 'BertJapaneseTokenizer' }],
    [
      'vocab.json: the class "CLIPTokenizer" is not supported for it, only GPT2Tokenizer',
      { 'vocab.json': '{"a":0}', 'merges.txt': '#version: 0.2\n' },
      { tokenizer_class: 'CLIPTokenizer' },
    ],
    ['it has no pieces', { 'spiece.model': '' }, {}],
    ['no model of SentencePiece (no field begins at 1)', { 'spiece.model': 'garbage' }, {}],
    ['no model of SentencePiece (', { 'spiece.model': cut(bytesOf('unigram-t5/spiece.model')) }, {}],
    ['it ends within a field', { 'spiece.model': Uint8Array.of(0x80) }, {}],
    ['a number of more than 10 bytes', { 'spiece.model': new Uint8Array(20).fill(0xff) }, {}],
    ['the piece 0 has no score that is a number', { 'spiece.model': piece(0x0a, 1, 0x61, ...NAN) }, {}],
    [
      'of the type word is not supported',
      { 'spiece.model': Uint8Array.of(...piece(0x0a, 1, 0x61), 0x12, 2, 0x18, 3) },
      {},
    ],
    [
      'expected at most 1048576 lines, found more',
      { 'vocab.txt': 'a\n'.repeat(2 ** 20 + 1) },
      { tokenizer_class: 'BertTokenizer' },
    ],
  ])('%s', async (message, files, config) => {
    const isModel = 'spiece.model' in files && files['spiece.model'] !== T5['spiece.model'];
    const named = isModel ? { tokenizer_class: 'T5Tokenizer', ...config } : config;
    await expectFailure(() => loadTokenizer(folder({ ...files, 'tokenizer_config.json': named })), message);
  });
});
