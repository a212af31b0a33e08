// What comes before a prompt, what an empty one starts from, and which ids end a text.

import { expect, it } from 'vitest';
import { encodePrompt, endIds, type TextModel } from '../../src/completion/text-bounds.js';
import type { Tokenizer } from '../../src/text/tokenizer.js';
import { parseConfig } from '../../src/weights/folder.js';
import { expectFailure } from '../support/errors.js';

const TOKENIZER: Tokenizer = {
  size: 256,
  named: {},
  bosId: undefined,
  namedEosId: undefined,
  eosId: undefined,
  around: { before: [], behind: [] },
  isSpecial: () => false,
  encode: async (value) => [...Buffer.from(value)],
  bytes: (id) => Uint8Array.of(id),
  token: (id) => String.fromCharCode(id),
  decoding: undefined,
  has: (id) => id < 256,
  dispose: () => {},
};

function model(config: object, tokenizer: Partial<Tokenizer> | null = {}): TextModel {
  const sizes = { model_type: 'gpt2', vocab_size: 260 };
  return {
    dir: 'm',
    config: parseConfig({ ...sizes, ...config }, 'c.json').config,
    tokenizer: tokenizer && { ...TOKENIZER, ...tokenizer },
  };
}

/** All ids of a prompt, and what a person who looks closely is told. */
async function idsOf(text: string, given: TextModel, bos = true) {
  const details: string[] = [];
  const { before, ids } = await encodePrompt(text, given, { bos, onDetail: (line) => details.push(line) });
  return { ids: [...before, ...ids], details };
}

it('a prompt has its ids, behind what the tokenizer puts before it', async () => {
  expect((await idsOf('ab', model({}))).ids).toEqual([97, 98]);
  const template = model({}, { around: { before: [1, 2], behind: [3] } });
  expect((await idsOf('ab', template)).ids).toEqual([1, 2, 97, 98]);
  expect((await idsOf('ab', template, false)).ids).toEqual([97, 98]);
});

it('what a prompt has already is there twice, which is told', async () => {
  const template = model({}, { around: { before: [60], behind: [] } });
  const { ids, details } = await idsOf('<b', template);
  expect(ids).toEqual([60, 60, 98]);
  expect(details).toEqual([expect.stringContaining('the prompt begins with <, and the tokenizer puts that before it')]);
  expect((await idsOf('b', template)).details).toEqual([]);
  expect((await idsOf('<b', template, false)).details).toEqual([]);
});

it('what the model does not have comes before no prompt', async () => {
  const far = model({}, { around: { before: [260], behind: [] } });
  await expectFailure(() => idsOf('b', far), 'm: the tokenizer puts the token id 260 before a text', '--no-bos');
  expect((await idsOf('b', far, false)).ids).toEqual([98]);
});

it.each<[string, object, Partial<Tokenizer>, number[]]>([
  ['the template', { bos_token_id: 5 }, { around: { before: [8], behind: [] }, bosId: 6 }, [8]],
  ['the config', { bos_token_id: 5 }, { bosId: 6, eosId: 7 }, [5]],
  ['the tokenizer, where the model has no such id', { bos_token_id: 260 }, { bosId: 6, eosId: 7 }, [6]],
  ['the end of a text', {}, { eosId: 0 }, [0]],
  ['what ends a text of the model', { eos_token_id: [9, 4] }, {}, [9]],
  ['what usually does', { vocab_size: 50257 }, {}, [50256]],
])('an empty prompt starts from %s', async (_, config, tokenizer, ids) => {
  expect((await idsOf('', model(config, tokenizer))).ids).toEqual(ids);
});

it('is refused where there is nothing to start from, and no tokenizer', async () => {
  await expectFailure(() => idsOf('', model({})), 'm: an empty prompt needs an end-of-text token');
  await expectFailure(() => idsOf('ab', model({}, null)), 'm: no tokenizer: expected the prompt as token ids');
});

it.each<[string, object, Partial<Tokenizer> | null, number[]]>([
  ['the config', { eos_token_id: [7, 9] }, { namedEosId: 5 }, [7, 9]],
  ['those of them that the model has', { eos_token_id: [7, 260] }, { namedEosId: 5 }, [7]],
  ['the tokenizer, where the model has none of them', { eos_token_id: 260 }, { namedEosId: 5 }, [5]],
  ['the tokenizer', { eos_token_id: null }, { namedEosId: 0 }, [0]],
  ['no token that nobody names', {}, { eosId: 5 }, []],
  ['the usual one', { vocab_size: 50257 }, {}, [50256]],
  ['the usual one, without a tokenizer', { vocab_size: 50257 }, null, [50256]],
])('a text is ended by %s', (_, config, tokenizer, ids) => {
  expect(endIds(model(config, tokenizer))).toEqual(ids);
});
