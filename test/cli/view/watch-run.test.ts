// A run that is watched, on TensorFlow: what it is interrupted at, and what it leaves.

import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Terminal } from '../../../src/cli/shell/terminal.js';
import { type Watched, watchRun } from '../../../src/cli/view/watch-run.js';
import { withForward } from '../../../src/engine/with-forward.js';
import { KvgenError } from '../../../src/errors.js';
import type { Model } from '../../../src/library/model.js';
import { GENERATE, settingsOf } from '../../../src/settings.js';
import { goldenDir } from '../../support/golden.js';
import { open, useBackend } from '../../support/open.js';

let model: Model;
beforeAll(async () => {
  await useBackend('node');
  model = await open(goldenDir('gpt2-micro'), { tokenizer: async () => null });
});
afterAll(() => model.dispose());

const PROMPT = [5, 6, 7, 8];

/** Interrupted when this progress is shown; undefined: never. */
function watched(at?: string, used = model): Promise<Watched> {
  const interrupt = new AbortController();
  const progress = (line: string) => (line === at ? interrupt.abort() : undefined);
  return watchRun({
    args: settingsOf(GENERATE, { json: true, echo: true, logprobs: 2, maxTokens: 20, seed: 3 }),
    model: used,
    draft: null,
    prompt: { ids: PROMPT, text: '', nCtx: 128 },
    prompts: null,
    terminal: { progress, progressDone: () => {} } as unknown as Terminal,
    signal: interrupt.signal,
  });
}

it('leaves no tensor, and as many are alive at the last token as at the first', async () => {
  const before = model.engine.numTensors();
  const { record } = await watched();
  expect(model.engine.numTensors()).toBe(before);
  const [first, last] = (record.report as unknown as { num_tensors: [number, number] }).num_tensors;
  expect(last).toBe(first);
  expect(record.attention?.layers.length).toBe(model.config.nLayer);
  expect(record.attention?.layers[0]?.[0]?.length).toBe(PROMPT.length + 19);
  expect(record.steps.every(({ uncachedMs }) => (uncachedMs ?? 0) > 0)).toBe(true);
});

it('interrupted as it runs: what came', async () => {
  const before = model.engine.numTensors();
  const { record } = await watched('5 tokens');
  const { finish_reason, ids, tokens, prompt_tokens_detail } = record.report;
  expect([finish_reason, ids.length, tokens.length, prompt_tokens_detail.length]).toEqual(['abort', 5, 5, 4]);
  expect(record.steps.map(({ uncachedMs }) => uncachedMs)).toEqual([null, null, null, null, null]);
  expect([record.attention, record.attentionMissing]).toEqual([null, 'the run was interrupted']);
  expect(model.engine.numTensors()).toBe(before);
});

it('interrupted in the prompt: no token', async () => {
  const { record } = await watched('prefill 4/4');
  expect([record.report.finish_reason, record.steps]).toEqual(['abort', []]);
  expect(record.prefill.map(({ from, to }) => [from, to])).toEqual([[0, 4]]);
});

it('interrupted behind the run: the whole text, without what was not measured yet', async () => {
  const { record } = await watched('without the cache 3/20');
  expect([record.report.finish_reason, record.steps.length]).toEqual(['length', 20]);
  expect(record.steps.filter(({ uncachedMs }) => uncachedMs !== null).length).toBe(3);
  expect(record.attentionMissing).toBe('the run was interrupted');
  const { record: late } = await watched('attention 0/23');
  expect(late.steps.every(({ uncachedMs }) => uncachedMs !== null)).toBe(true);
  expect(late.attentionMissing).toBe('the run was interrupted');
});

it('what cannot be looked at is missing, and the text is not lost', async () => {
  const { engine } = model;
  const full = withForward(engine, (pass, cache, onPart) => {
    if (pass.onAttention !== undefined) {
      throw new KvgenError('the memory is full');
    }
    return engine.forward(pass, cache, onPart);
  });
  const { record } = await watched(undefined, { ...model, config: model.config, engine: full } as Model);
  expect([record.report.ids.length, record.attention, record.attentionMissing]).toEqual([
    20,
    null,
    'the memory is full',
  ]);
});
