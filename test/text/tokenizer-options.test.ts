// The options of a tokenizer.json that are computed give the ids that Hugging Face's tokenizers give.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { buildTokenizer } from '../../src/text/build-tokenizer.js';
import { expectFailure } from '../support/errors.js';

interface Model {
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: readonly string[];
}
interface Case {
  readonly name: string;
  readonly case: { readonly without?: readonly string[]; readonly model?: object };
  readonly texts: readonly (readonly [text: string, ids: readonly number[]])[];
}

// made by make-tokenizer-options.py
const { base, cases }: { base: { model: Model }; cases: Case[] } = JSON.parse(
  readFileSync('test/fixtures/tokenizer-options.json', 'utf8'),
);

/** As make-tokenizer-options.py puts it together. */
function tokenizerJson({ without = [], model, ...rest }: Case['case']) {
  const isGone = (text: string) => without.some((character) => text.includes(character));
  const vocab = Object.entries(base.model.vocab).map(([token, id]) => [isGone(token) ? `<${token}>` : token, id]);
  const merges = base.model.merges.filter((merge) => !isGone(merge));
  return { ...base, ...rest, model: { ...base.model, vocab: Object.fromEntries(vocab), merges, ...model } };
}

const build = (json: object) => buildTokenizer({ tokenizer: { path: 't.json', text: JSON.stringify(json) } });

describe.each(cases)('$name', ({ case: options, texts }) => {
  it('gives the ids of Hugging Face', async () => {
    const { encode } = await build(tokenizerJson(options));
    expect(texts.map(([text]) => [text, encode(text).ids])).toEqual(texts);
  });
});

describe('what has no token', () => {
  it('is refused where there is none for it', async () => {
    const { encode } = await build(tokenizerJson({ without: ['Ã', 'x'] }));
    expect(encode('no such letter').ids).not.toEqual([]);
    await expectFailure(() => encode('é'), 't.json: no token for the byte 0xC3 of the text, and none for unknown text');
    await expectFailure(() => encode('ox'), 'no token for the byte 0x78');
  });

  it('is told where there is one, each time', async () => {
    const { encode } = await build(tokenizerJson({ without: ['Ã', 'x'], model: { unk_token: '<unk>' } }));
    expect(encode('fox é').unknown).toBe('the byte 0x78 and 1 more');
    expect(encode('fox').unknown).toBe('the byte 0x78');
    expect(encode('dog').unknown).toBeUndefined();
  });
});

it.each<[string, object, string]>([
  ['marks', { type: 'NFC' }, 'a text with 257 marks on one letter, more than 256, is not supported; remove them'],
  ['marks', { type: 'Lowercase' }, ''],
  ['letters', { type: 'Replace', pattern: { String: 'a' }, content: 'b'.repeat(1000) }, 'it makes a text of 100 char'],
  ['letters', { type: 'Replace', pattern: { String: 'a' }, content: 'bbbbbbbb' }, ''],
])('%s cannot blow up a normalizer: %j', async (name, normalizer, message) => {
  const text = name === 'marks' ? `a${'\u0301'.repeat(257)}` : 'a'.repeat(100);
  const { encode } = await build({ ...base, normalizer });
  if (message === '') {
    expect(encode(text).ids.length).toBeGreaterThan(100);
  } else {
    await expectFailure(() => encode(text), 't.json: normalizer: ', message);
  }
});

it('risky are the patterns that nobody knows', async () => {
  const split = (pattern: object) => ({ type: 'Split', pattern, behavior: 'Isolated' });
  const riskyOf = async (pattern: object, replaced: object) => {
    const pretokenizers = [split(pattern), { type: 'ByteLevel', use_regex: false }];
    const normalizer = { type: 'Replace', pattern: replaced, content: '' };
    return (await build({ ...base, normalizer, pre_tokenizer: { type: 'Sequence', pretokenizers } })).facts.risky;
  };
  const gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
  expect(await riskyOf({ Regex: gpt2 }, { String: '(a+)+$' })).toEqual([]);
  expect(await riskyOf({ Regex: '(a+)+$' }, { Regex: '(b+)+$' })).toEqual(['(b+)+$', '(a+)+$']);
});
