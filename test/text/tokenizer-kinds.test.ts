// Tokenizers of other kinds than byte-level BPE: ids and texts that Hugging Face's tokenizers give for the same files, and
// texts that arrive in pieces.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ModelFolder } from '../../src/files/model-folder.js';
import { Detokenizer, decodeAll } from '../../src/text/detokenizer.js';
import { loadTokenizer, openTokenizer } from '../../src/text/tokenizer.js';

interface Case {
  readonly text: string;
  readonly ids: readonly number[];
  readonly ids_without_special_tokens?: readonly number[];
  readonly decoded: string;
}

const ROOT = fileURLToPath(new URL('../fixtures/tokenizers', import.meta.url));
const KINDS = ['sp-bpe-llama2', 'unigram-t5', 'wordpiece-zh'];

function casesOf(kind: string): readonly Case[] {
  const { cases } = JSON.parse(readFileSync(`${ROOT}/${kind}/cases.json`, 'utf8')) as { cases: Case[] };
  return cases;
}

describe.each(KINDS)('%s', (kind) => {
  const load = () => loadTokenizer(new ModelFolder(`${ROOT}/${kind}`));

  it('gives the ids of Hugging Face', async () => {
    const tokenizer = await load();
    for (const { text, ids, ids_without_special_tokens: plain = ids } of casesOf(kind)) {
      expect(await tokenizer.encode(text), text).toEqual(plain);
    }
  });

  it('gives the text of Hugging Face', async () => {
    const tokenizer = await load();
    for (const { ids, decoded } of casesOf(kind)) {
      expect(decodeAll(tokenizer, ids)).toBe(decoded);
    }
  });

  it('goes on from any place: what arrives is what the whole text has more', async () => {
    const tokenizer = await load();
    for (const { ids, decoded } of casesOf(kind)) {
      for (let i = 0; i <= ids.length; i++) {
        const before = decodeAll(tokenizer, ids.slice(0, i));
        const detokenizer = new Detokenizer(tokenizer, ids.slice(0, i));
        const text =
          ids
            .slice(i)
            .map((id) => detokenizer.add(id))
            .join('') + detokenizer.finish();
        if (decoded.startsWith(before)) {
          // in a row of bytes, and before an apostrophe, it need not
          expect(before + text).toBe(decoded);
        }
      }
    }
  });
});

it('WordLevel: whole words, with spaces between them where there is no decoder', async () => {
  const vocab = { '<unk>': 0, hello: 1, world: 2, '!': 3, 你好: 4 };
  const json = { model: { type: 'WordLevel', vocab, unk_token: '<unk>' }, pre_tokenizer: { type: 'Whitespace' } };
  const tokenizer = await openTokenizer({ tokenizer: { path: 'tokenizer.json', text: JSON.stringify(json) } });
  const ids = await tokenizer.encode('hello  world! 你好 x');
  expect(ids).toEqual([1, 2, 3, 4, 0]);
  expect(decodeAll(tokenizer, ids)).toBe('hello world ! 你好 <unk>');
  expect(await tokenizer.encode('你好world')).toEqual([0]);
});

it('a word of 300 kB comes to an end, whatever its kind', async () => {
  for (const kind of KINDS) {
    const tokenizer = await loadTokenizer(new ModelFolder(`${ROOT}/${kind}`));
    for (const part of ['a', '你', 'e\u0301', '\u{1f9ff}']) {
      expect((await tokenizer.encode(part.repeat(100_000))).length).toBeGreaterThan(0);
    }
    tokenizer.dispose();
  }
});
