// A prompt as a model takes it: encoded, made to fit the context, checked; and what settings come to.

import { describe, expect, it } from 'vitest';
import {
  contextNote,
  contextSize,
  idsWithoutToken,
  makeRequest,
  type Prompt,
  type PromptSettings,
  preparePrompt,
} from '../../src/completion/request.js';
import type { TextModel } from '../../src/completion/text-bounds.js';
import type { Tokenizer } from '../../src/text/tokenizer.js';
import { parseConfig } from '../../src/weights/folder.js';
import { expectFailure } from '../support/errors.js';
import { PLAIN } from '../support/run.js';

const tokenizer = (eosId?: number): Tokenizer => ({
  size: 256,
  named: {},
  bosId: undefined,
  namedEosId: eosId,
  eosId,
  around: { before: [], behind: [] },
  isSpecial: () => false,
  encode: async (value) => [...Buffer.from(value)],
  bytes: (id) => Uint8Array.of(id),
  token: (id) => String.fromCharCode(id),
  decoding: undefined,
  has: (id) => id < 256,
  dispose: () => {},
});
const SIZES = { model_type: 'gpt2', vocab_size: 260, n_positions: 100, eos_token_id: [7, 9] };
const MODEL: TextModel = { dir: 'm', config: parseConfig(SIZES, 'c.json').config, tokenizer: tokenizer(7) };
const SETTINGS: PromptSettings = {
  ...PLAIN,
  bos: true,
  special: false,
  maxTokens: 4,
  stop: ['.'],
  ignoreEos: false,
  cache: true,
  onFull: 'stop',
  draft: 0,
};
const ids = (length: number) => Array.from({ length }, (_, i) => i);

/** The prompt that comes of it, and the notes. */
async function prepared(prompt: string | readonly number[], settings: Partial<PromptSettings> = {}, advice = '') {
  const notes: string[] = [];
  const words = { logitBias: '--bias', advice, onNote: (line: string) => notes.push(line) };
  return { prompt: await preparePrompt(prompt, { ...SETTINGS, ...settings }, MODEL, words), notes };
}

describe('the context', () => {
  const model = (n_positions: number) => parseConfig({ ...SIZES, n_positions }, 'c.json').config;
  it('is the model’s, up to 8192 unless more is asked for, which is said', async () => {
    expect(contextSize(undefined, model(8192))).toBe(8192);
    expect(contextNote(undefined, model(8192))).toBe(undefined);
    expect(contextSize(undefined, model(131072))).toBe(8192);
    expect(contextNote(undefined, model(131072))).toBe(
      'the context holds 8192 tokens; the model has 131072 positions, --ctx-size takes up to as many',
    );
    expect(contextSize(131072, model(131072))).toBe(131072);
    expect(contextNote(131072, model(131072))).toBe(undefined);
    await expectFailure(() => contextSize(131073, model(131072)), '--ctx-size 131073: the model has 131072 positions');
  });
});

describe('a prompt and its context', () => {
  it('a text keeps its own words, ids are decoded', async () => {
    expect((await prepared('ab')).prompt).toEqual({ ids: [97, 98], text: 'ab', nCtx: 100 });
    expect((await prepared([97, 98])).prompt).toEqual({ ids: [97, 98], text: 'ab', nCtx: 100, held: '' });
  });

  it.each([
    [1, 10],
    [9, 10],
  ])('leaves %i ids in a context of %i alone, whatever may go', async (length, ctxSize) => {
    for (const drop of [{ truncatePrompt: 'head' }, { truncatePrompt: 'tail' }, {}] as const) {
      const { prompt, notes } = await prepared(ids(length), { ctxSize, maxTokens: 100, ...drop });
      expect(prompt).toMatchObject({ ids: ids(length), nCtx: ctxSize });
      expect(notes).toEqual([]);
    }
  });

  it.each<[number, number, number, number]>([
    // length, context, maxTokens, kept: context − min(maxTokens, context / 2), at least one free
    [10, 10, 4, 6],
    [25, 10, 4, 6],
    [25, 10, 100, 5],
    [25, 10, Number.POSITIVE_INFINITY, 5],
    [25, 10, -1, 5], // to the end of the context, as the command says it
    [25, 11, 100, 6],
    [25, 10, 0, 9],
    [25, 10, 1, 9],
    [25, 2, 5, 1],
  ])('%i ids, context %i, %d tokens: keeps %i', async (length, ctxSize, maxTokens, kept) => {
    const all = ids(length);
    const dropped = length - kept;
    const note = (part: string) => `the prompt is too long: dropped ${dropped} tokens of its ${part}, kept ${kept}`;
    const head = await prepared(all, { ctxSize, maxTokens, truncatePrompt: 'head' });
    expect([head.prompt.ids, head.notes]).toEqual([all.slice(dropped), [note('head')]]);
    const tail = await prepared(all, { ctxSize, maxTokens, truncatePrompt: 'tail' });
    expect([tail.prompt.ids, tail.notes]).toEqual([all.slice(0, kept), [note('tail')]]);
  });

  it('has the text of the whole prompt, also where not all of it is kept', async () => {
    const { prompt } = await prepared('abcdefghij', { ctxSize: 6, maxTokens: 1, truncatePrompt: 'head' });
    expect(prompt).toEqual({ ids: [...Buffer.from('fghij')], text: 'abcdefghij', nCtx: 6 });
  });

  it('has what the tokenizer puts before a text, also where the head of the text is dropped', async () => {
    const around = { before: [7], behind: [9] };
    const model = { ...MODEL, tokenizer: { ...tokenizer(7), around } };
    const words = { logitBias: '--bias', advice: '', onNote: () => {} };
    const idsOf = async (prompt: string | readonly number[], settings: Partial<PromptSettings>) =>
      (await preparePrompt(prompt, { ...SETTINGS, ...settings }, model, words)).ids;
    expect(await idsOf('ab', {})).toEqual([7, 97, 98]);
    expect(await idsOf('ab', { bos: false })).toEqual([97, 98]);
    expect(await idsOf([97, 98], {})).toEqual([97, 98]);
    const cut = { ctxSize: 6, maxTokens: 1 };
    expect(await idsOf('abcdefghij', { ...cut, truncatePrompt: 'head' })).toEqual([7, ...Buffer.from('ghij')]);
    expect(await idsOf('abcdefghij', { ...cut, truncatePrompt: 'tail' })).toEqual([7, ...Buffer.from('abcd')]);
    await expectFailure(() => idsOf('a', { ctxSize: 2, truncatePrompt: 'head' }), 'has 2 tokens and the context 2');
  });

  it('refuses with both numbers where nothing may go, or nothing would be left', async () => {
    await expectFailure(() => prepared(ids(10), { ctxSize: 10 }), 'the prompt has 10 tokens and the context 10:');
    await expectFailure(() => prepared(ids(12), { ctxSize: 10 }, 'cut it'), '12 tokens', 'the context 10', 'cut it');
    await expectFailure(
      () => prepared(ids(3), { ctxSize: 1, truncatePrompt: 'head' }),
      'the prompt has 3 tokens and the context 1:',
    );
  });

  it('refuses what the model does not have', async () => {
    await expectFailure(() => prepared('a', { ctxSize: 101 }), '--ctx-size 101: the model has 100 positions');
    await expectFailure(() => prepared([1, 260]), 'token id 260: expected a whole number from 0 to 259');
    await expectFailure(() => prepared([]), 'expected 1 … 100 token ids, found 0');
    const logitBias = new Map([[260, 1]]);
    await expectFailure(() => prepared('a', { logitBias }), "--bias 260: the model's token ids end at 259");
  });
});

describe('a request', () => {
  const PROMPT: Prompt = { ids: [97], text: 'a', nCtx: 50 };
  const request = (settings: Partial<PromptSettings> = {}, banned: number[] = []) =>
    makeRequest(PROMPT, { ...SETTINGS, temperature: 0, ...settings }, 1, MODEL, banned, { logprobs: 2 });

  it('has the limits of the settings and of the prompt', () => {
    const { sampler: _, ...rest } = request();
    expect(rest).toEqual({
      promptIds: [97],
      stops: ['.'],
      goesOn: false,
      special: false,
      logprobs: 2,
      options: { maxTokens: 4, nCtx: 50, stopIds: [7, 9], cache: true, onFull: 'stop' },
    });
    expect(request({ maxTokens: -1 }).options.maxTokens).toBe(Number.POSITIVE_INFINITY);
    expect(request({ ignoreEos: true }).options.stopIds).toEqual([]);
  });

  it('has a sampler that never gives a banned id', () => {
    const logits = Float32Array.from([1, 9, 3]);
    expect(request().sampler(logits.slice(), [97])).toBe(1);
    expect(request({}, [1]).sampler(logits.slice(), [97])).toBe(2);
  });
});

it('ids without a token are those that the tokenizer does not have; without one there are none', () => {
  expect(idsWithoutToken(tokenizer(), MODEL.config)).toEqual([256, 257, 258, 259]);
  expect(idsWithoutToken(null, MODEL.config)).toEqual([]);
});
