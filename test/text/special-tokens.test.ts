// Which tokens are special, what ids they have and what comes before a text, whichever files say so: as transformers reads
// them.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { buildTokenizer } from '../../src/text/build-tokenizer.js';
import { BYTE_CHARACTERS } from '../../src/text/pre-tokenizer.js';
import type { TextFile, TokenizerFiles } from '../../src/text/tokenizer-files.js';
import { Vocabulary } from '../../src/text/vocabulary.js';

interface Case {
  readonly files: Readonly<Record<string, object>>;
  /** Tokens behind those of the bytes. */
  readonly vocab: Readonly<Record<string, number>>;
  readonly special: readonly number[];
  readonly bos: number | null;
  readonly eos: number | null;
  readonly texts: readonly (readonly [text: string, ids: number[], plain: number[], shown: string])[];
}

// random files of every kind, with what transformers 4.57.6 makes of them
const { cases }: { cases: Case[] } = JSON.parse(readFileSync('test/fixtures/special-tokens.json', 'utf8'));

const BYTES = Object.fromEntries(BYTE_CHARACTERS.map((character, byte) => [character, byte]));

function filesOf({ files, vocab }: Case): TokenizerFiles {
  const all = { ...BYTES, ...vocab };
  const file = (name: string, json = files[name]): TextFile | undefined =>
    json === undefined ? undefined : { path: name, text: JSON.stringify(json) };
  const model = { type: 'BPE', vocab: all, merges: [] };
  const tokenizer = files['tokenizer.json'];
  return {
    tokenizer: tokenizer && file('tokenizer.json', { ...tokenizer, model }),
    vocab: tokenizer === undefined ? file('vocab.json', all) : undefined,
    merges: { path: 'merges.txt', text: '#version: 0.2\n' },
    config: file('tokenizer_config.json'),
    specialTokens: file('special_tokens_map.json'),
    addedTokens: file('added_tokens.json'),
    modelConfig: file('config.json'),
  };
}

const shownAs = (list: object) => JSON.stringify(list).slice(0, 60);

describe.each(cases.map((one, i) => ({ ...one, name: `${i} ${shownAs(Object.keys(one.files))}` })))('$name', (one) => {
  it('has the ids and the special tokens of transformers', async () => {
    const { facts, encode } = await buildTokenizer(filesOf(one));
    const vocabulary = new Vocabulary(facts.tokens);
    const special = new Set(facts.special);
    expect([facts.bosId ?? null, facts.namedEosId ?? null]).toEqual([one.bos, one.eos]);
    expect(one.special.filter((id) => !special.has(id))).toEqual([]);
    for (const [text, ids, plain, shown] of one.texts) {
      const found = encode(text).ids;
      expect(found).toEqual(plain);
      expect([...facts.around.before, ...found, ...facts.around.behind]).toEqual(ids);
      const bytes = ids.filter((id) => !special.has(id)).map((id) => vocabulary.bytes(id));
      expect(Buffer.concat(bytes).toString()).toBe(shown);
    }
  });
});

it('an added token comes behind all entries of a vocabulary, though one is there twice', async () => {
  const vocab = [
    ['<unk>', 0],
    ['a', -1],
    ['a', -2],
  ];
  const json = { model: { type: 'Unigram', unk_id: 0, vocab }, added_tokens: [{ id: 3, content: '<x>' }] };
  const { encode } = await buildTokenizer({ tokenizer: { path: 'tokenizer.json', text: JSON.stringify(json) } });
  expect(encode('a<x>').ids).toEqual([2, 3]);
});
