// Tokenizers in GGUF files: the ids that llama.cpp gives, and what is not computed is named.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ModelFolder } from '../../src/files/model-folder.js';
import { readChatTemplate } from '../../src/text/chat-template.js';
import { decodeAll } from '../../src/text/detokenizer.js';
import { hasTokenizer, loadTokenizer, type Tokenizer } from '../../src/text/tokenizer.js';
import { expectFailure } from '../support/errors.js';
import { type Entry, ggufBytes, text, texts, u32 } from '../support/gguf.js';
import { tempDirs } from '../support/temp-dir.js';

const FIXTURES = fileURLToPath(new URL('../fixtures/gguf', import.meta.url));
const tempDir = tempDirs();

const idsWithBos = async (tokenizer: Tokenizer, text: string) => [
  ...tokenizer.around.before,
  ...(await tokenizer.encode(text)),
];

interface Golden {
  readonly tokenizer_cases: { readonly text: string; readonly ids: number[] }[];
  readonly prompts: { readonly greedy_ids: number[]; readonly greedy_text: string }[];
}

const NAMES = readdirSync(FIXTURES).flatMap((name) => (name.endsWith('.gguf') ? [name.replace('.gguf', '')] : []));

describe.each(NAMES)('%s', (name) => {
  const golden: Golden = JSON.parse(readFileSync(join(FIXTURES, `${name}.json`), 'utf8'));
  const folder = () => new ModelFolder(FIXTURES, undefined, { single: `${name}.gguf` });

  it('ids of texts, with what comes before them', async () => {
    const tokenizer = await loadTokenizer(folder());
    for (const { text, ids } of golden.tokenizer_cases) {
      expect([text, await idsWithBos(tokenizer, text)]).toEqual([text, ids]);
    }
  });

  it('texts of ids', async () => {
    const tokenizer = await loadTokenizer(folder());
    for (const { greedy_ids, greedy_text } of golden.prompts) {
      expect(decodeAll(tokenizer, greedy_ids)).toBe(greedy_text);
    }
  });

  it('the chat template of the metadata', async () => {
    expect((await readChatTemplate(folder()))?.text).toContain('{% for message in messages %}');
  });
});

const BYTES = ['a', 'b', 'ab', '<s>', 'Ġ'];
const GPT2: Record<string, Entry> = {
  'tokenizer.ggml.model': text('gpt2'),
  'tokenizer.ggml.pre': text('gpt-2'),
  'tokenizer.ggml.tokens': texts(BYTES),
  'tokenizer.ggml.token_type': { list: 'INT32', value: [1, 1, 1, 3, 1] },
  'tokenizer.ggml.merges': texts(['a b']),
  'tokenizer.ggml.bos_token_id': u32(3),
};

function folderOf(metadata: Record<string, Entry>): ModelFolder {
  const dir = tempDir();
  writeFileSync(join(dir, 'x.gguf'), ggufBytes({ metadata: Object.entries(metadata) }));
  return new ModelFolder(dir, undefined, { single: 'x.gguf' });
}

describe('what decides the ids', () => {
  const idsOf = async (metadata: Record<string, Entry>, text: string) =>
    idsWithBos(await loadTokenizer(folderOf(metadata)), text);

  it('tokens of control are found in a text, others are not', async () => {
    expect(await idsOf(GPT2, 'ab<s>a')).toEqual([2, 3, 0]);
  });

  it('a token begins a text where the file says so, or its kind does', async () => {
    const yes = { type: 'BOOL', value: true } as const;
    const no = { type: 'BOOL', value: false } as const;
    const llama3 = { ...GPT2, 'tokenizer.ggml.pre': text('llama-bpe') };
    expect(await idsOf({ ...GPT2, 'tokenizer.ggml.add_bos_token': yes }, 'a')).toEqual([3, 0]);
    expect(await idsOf(llama3, 'a')).toEqual([3, 0]);
    expect(await idsOf({ ...llama3, 'tokenizer.ggml.add_bos_token': no }, 'a')).toEqual([0]);
  });

  it('a file without `pre` has the default', async () => {
    const { 'tokenizer.ggml.pre': _, ...metadata } = GPT2;
    expect(await idsOf(metadata, 'ab a')).toEqual([2, 4, 0]);
  });
});

describe('what is refused', () => {
  const refusal = (metadata: Record<string, Entry>, ...words: string[]) =>
    expectFailure(() => loadTokenizer(folderOf(metadata)), 'x.gguf: ', ...words);

  it.each([
    [{ 'tokenizer.ggml.pre': text('bloom') }, 'tokenizer.ggml.pre: expected one of', 'found "bloom"'],
    [{ 'tokenizer.ggml.model': text('bert') }, 'tokenizer.ggml.model: expected "gpt2" or "llama"', 'found "bert"'],
    [{ 'tokenizer.ggml.tokens': texts(['a', 'a']) }, 'tokenizer.ggml.tokens: "a" has the ids 0 and 1'],
    [{ 'tokenizer.ggml.tokens': texts([]) }, 'tokenizer.ggml.tokens: expected 1 …'],
    [{ 'tokenizer.ggml.tokens': u32(1) }, 'tokenizer.ggml.tokens: expected a list of texts'],
    [{ 'tokenizer.ggml.merges': u32(1) }, 'tokenizer.ggml.merges: expected a list of texts'],
    [{ 'tokenizer.ggml.merges': texts(['a x']) }, 'the merge "a x" needs a token "x"'],
    [{ 'tokenizer.ggml.bos_token_id': u32(5) }, 'tokenizer.ggml.bos_token_id: expected an id below 5, found 5'],
    [{ 'tokenizer.ggml.token_type': { list: 'INT32', value: [1] } }, 'token_type: expected 5 of them, found 1'],
    [
      { 'tokenizer.ggml.add_eos_token': { type: 'BOOL', value: true } },
      'add_eos_token: expected false where no such token',
    ],
    [{ 'tokenizer.ggml.model': text('llama') }, 'tokenizer.ggml.scores: expected a list of numbers, found nothing'],
  ] as [Record<string, Entry>, ...string[]][])('%j', async (metadata, ...words) => {
    await refusal({ ...GPT2, ...metadata }, ...words);
  });

  it('pieces whose halves would take for ever', async () => {
    const tokens = Array.from({ length: 200 }, (_, i) => 'a'.repeat(900 + i));
    const scores = { list: 'FLOAT32', value: tokens.map((_, i) => -i) } as const;
    const pieces = { 'tokenizer.ggml.tokens': texts(tokens), 'tokenizer.ggml.scores': scores };
    await refusal({ 'tokenizer.ggml.model': text('llama'), ...pieces }, 'pieces that are too long');
  });

  it('a file without a tokenizer is a model for --prompt-ids', async () => {
    const folder = folderOf({});
    expect(await hasTokenizer(folder)).toBe(false);
    await expectFailure(() => loadTokenizer(folder), 'x.gguf: there is no tokenizer in it', '--prompt-ids');
  });
});

describe('chat templates of folders', () => {
  it('the file comes before the configuration, and of several the default', async () => {
    const dir = tempDir();
    expect(await readChatTemplate(new ModelFolder(dir))).toBeUndefined();
    const config = (chat_template: unknown) =>
      writeFileSync(join(dir, 'tokenizer_config.json'), JSON.stringify({ chat_template }));
    config('one');
    expect(await readChatTemplate(new ModelFolder(dir))).toEqual({
      path: join(dir, 'tokenizer_config.json'),
      text: 'one',
    });
    config([
      { name: 'tool_use', template: 'no' },
      { name: 'default', template: 'two' },
    ]);
    expect((await readChatTemplate(new ModelFolder(dir)))?.text).toBe('two');
    config(5);
    await expectFailure(() => readChatTemplate(new ModelFolder(dir)), 'chat_template: expected a text, found 5');
    writeFileSync(join(dir, 'chat_template.jinja'), 'three');
    expect((await readChatTemplate(new ModelFolder(dir)))?.text).toBe('three');
  });
});
