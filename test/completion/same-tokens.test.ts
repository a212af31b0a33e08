// Which models may guess for another.

import { expect, it } from 'vitest';
import { checkSameTokens } from '../../src/completion/same-tokens.js';
import type { TextModel } from '../../src/completion/text-bounds.js';
import { KvgenError } from '../../src/errors.js';
import type { Tokenizer } from '../../src/text/tokenizer.js';
import { parseConfig } from '../../src/weights/folder.js';

function model(dir: string, tokens: readonly (string | null)[] | null, vocabSize = 3): TextModel {
  const { config } = parseConfig({ model_type: 'gpt2', vocab_size: vocabSize }, 'c.json');
  const tokenizer = tokens && {
    has: (id: number) => tokens[id] != null,
    bytes: (id: number) => Buffer.from(tokens[id] ?? ''),
  };
  return { dir, config, tokenizer: tokenizer as Tokenizer | null };
}

const MODEL = model('big', ['a', ' b', null]);

it.each<[string, TextModel]>([
  ['with the same tokens', model('small', ['a', ' b', null])],
  ['of ids alone', model('small', null)],
])('one %s', (_, draft) => {
  checkSameTokens(MODEL, draft, '--draft-model');
});

it.each<[TextModel, string]>([
  [model('small', null, 4), '3 of them, found 4'],
  [model('small', ['a', 'b', null]), '" b" for id 1, found "b"'],
  [model('small', ['a', ' b', 'c']), 'no token for id 2, found "c"'],
  [model('small', ['a', null, null]), '" b" for id 1, found no token'],
])('not one with others', (draft, found) => {
  const message = `--draft-model small: expected the tokens of big, ${found}; name a model with the same tokenizer`;
  expect(() => checkSameTokens(MODEL, draft, '--draft-model')).toThrow(new KvgenError(message));
});
