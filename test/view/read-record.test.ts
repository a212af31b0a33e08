// Every part of a record is changed once, and the message names it.

import { describe, expect, it } from 'vitest';
import { readRecord } from '../../src/view/read-record.js';
import type { RunRecord } from '../../src/view/run-record.js';

const token = (id: number, logprob: number | null) => ({
  id,
  text: 'x',
  bytes: [120],
  logprob,
  top: [{ id, text: 'x', logprob: -1 }],
});

const GOOD: RunRecord = {
  format: 'kvgen-run',
  version: 1,
  report: {
    model: 'm',
    backend: 'simd',
    engine: 'simd',
    threads: 1,
    prompt: 'xx',
    text: 'x',
    finish_reason: 'length',
    seed: 1,
    prompt_ids: [1, 2],
    ids: [3],
    prompt_tokens: 2,
    generation_tokens: 1,
    load_ms: 1,
    prompt_ms: 1,
    first_token_ms: 2,
    decode_ms: 0,
    prompt_tps: null,
    generation_tps: null,
    cache: { enabled: true, positions: 2, bytes: 64 },
    tokens: [token(3, -0.5)],
    prompt_tokens_detail: [token(1, null), token(2, -3)],
  },
  model: { modelType: 'gpt2', nLayer: 1, nHead: 1, nKvHead: 1, headDim: 4, nCtx: 8, bytesPerPosition: 32 },
  prefill: [{ from: 0, to: 2, source: 'computed', ms: 1 }],
  steps: [{ cachedMs: 1, uncachedMs: null }],
  attention: { layers: [[[[1], { top: [[1, 0.75]], rest: 0.25 }]]] },
};

/** The good record with the value at a path replaced; undefined: removed. */
function changed(path: string, value: unknown): string {
  const record = JSON.parse(JSON.stringify(GOOD));
  const keys = path.split('.');
  const last = keys.pop() as string;
  const holder = keys.reduce((part, key) => part[key], record);
  if (value === undefined) {
    delete holder[last];
  } else {
    holder[last] = value;
  }
  return JSON.stringify(record);
}

describe('readRecord', () => {
  it('takes what was written, other fields of the report included', () => {
    expect(readRecord(JSON.stringify(GOOD), 'run.json')).toEqual(GOOD);
    const more = changed('report.weights', 'float32');
    expect(readRecord(more, 'run.json')).toEqual(JSON.parse(more));
    expect(readRecord(changed('attention', null), 'run.json').attention).toBeNull();
  });

  it.each<[path: string, value: unknown, message: string]>([
    ['format', 'run', 'format: expected "kvgen-run", found "run"'],
    ['version', 2, 'version: expected 1, found 2'],
    ['report', [], 'report: expected an object, found []'],
    ['report.text', 5, 'report.text: expected a text, found 5'],
    ['report.text', undefined, 'report.text: expected a text, found nothing'],
    ['report.seed', 1.5, 'report.seed: expected a whole number from 0 to 9007199254740991, found 1.5'],
    ['report.cache.enabled', 'yes', 'report.cache.enabled: expected true or false, found "yes"'],
    ['report.ids', 'no', 'report.ids: expected a list, found "no"'],
    ['report.tokens.0.bytes.0', 256, 'report.tokens[0].bytes[0]: expected a whole number from 0 to 255, found 256'],
    ['report.tokens.0.top.0.text', null, 'report.tokens[0].top[0].text: expected a text, found null'],
    ['report.tokens.0.logprob', 'high', 'report.tokens[0].logprob: expected a number'],
    ['report.tokens', [], 'report.tokens: expected 1 of them, one for each id, found 0'],
    ['report.prompt_tokens', 3, 'report.prompt_tokens: expected 2 of them'],
    ['model.nLayer', 1e9, 'model.nLayer: expected a whole number from 1 to 10000, found 1000000000'],
    ['prefill.0.source', 'air', 'prefill[0].source: expected "disk" or "memory" or "computed", found "air"'],
    ['prefill.0.to', 9, 'prefill[0]: expected positions from 0 on, within the prompt, found [0,9]'],
    ['prefill', [], 'prefill: expected positions up to 2, found 0'],
    ['prefill.0.to', 1, 'prefill: expected positions up to 2, found 1'],
    ['report.tokens.0.id', 4, 'report.tokens[0].id: expected 3, as in the ids, found 4'],
    ['report.prompt_tokens_detail.1.id', 4, 'report.prompt_tokens_detail[1].id: expected 2, as in the ids, found 4'],
    [
      'report.tokens.0.top',
      [GOOD.report.tokens[0]?.top?.[0], { id: 4, text: 'y', logprob: -0.1 }],
      'report.tokens[0].top: expected probabilities that sum to 1 at most, found 1.27',
    ],
    ['model.nCtx', 2, 'model.nCtx: expected room for 3 tokens, found 2'],
    ['report.cache.positions', 4, 'report.cache.positions: expected 3 at most, the tokens of the text, found 4'],
    ['report.cache.bytes', 63, 'report.cache.bytes: expected 64, of 2 positions, found 63'],
    ['steps.0.cachedMs', -1, 'steps[0].cachedMs: expected a number from 0'],
    ['steps', [], 'steps: expected 1 of them'],
    ['attention.layers', [], 'attention.layers: expected 1 layers, found 0'],
    ['attention.layers.0', [], 'attention.layers[0]: expected 1 heads, found 0'],
    [
      'attention.layers.0.0',
      [[1], [1, 0], [1, 0, 0], [1, 0, 0, 0]],
      'attention.layers[0][0]: expected 3 rows, found 4',
    ],
    ['attention.layers.0.0.0', 7, 'attention.layers[0][0][0]: expected a row of weights, found 7'],
    ['attention.layers.0.0.0', [0.9], 'attention.layers[0][0][0]: expected weights of positions 0 to 0 that sum to 1'],
    ['attention.layers.0.0.0', [1, 0], 'attention.layers[0][0][0]: expected weights'],
    ['attention.layers.0.0.1', { top: [[2, 1]], rest: 0 }, 'attention.layers[0][0][1]: expected weights'],
    [
      'attention.layers.0.0.1',
      {
        top: [
          [1, 0.5],
          [1, 0.5],
        ],
        rest: 0,
      },
      'attention.layers[0][0][1]: expected weights',
    ],
    ['attention.layers.0.0.1', { top: [['1', 1]], rest: 0 }, 'attention.layers[0][0][1]: expected weights'],
    ['attention.layers.0.0.1', { rest: 1 }, 'attention.layers[0][0][1]: expected weights'],
    ['attention.layers.0.0.1', { top: [[1, '<b>']], rest: 0 }, 'attention.layers[0][0][1]: expected weights'],
    ['attentionMissing', 5, 'attentionMissing: expected a text, found 5'],
  ])('%s', (path, value, message) => {
    expect(() => readRecord(changed(path, value), 'run.json')).toThrow(`run.json: ${message}`);
  });

  it('what is no JSON, and lists within lists', () => {
    const whole = JSON.stringify(GOOD);
    expect(() => readRecord(whole.slice(0, 300), 'run.json')).toThrow('run.json: no whole record of a run (');
    expect(() => readRecord('', 'run.json')).toThrow('run.json: no whole record of a run (');
    const deep = `${'['.repeat(1e5)}${']'.repeat(1e5)}`;
    expect(() => readRecord(deep, 'run.json')).toThrow('run.json: expected an object, found [[[[…]]]]');
    const within = changed('report', 'DEEP').replace('"DEEP"', deep);
    expect(() => readRecord(within, 'x')).toThrow('x: report: expected an object, found [');
  });

  it('a field of the prototype is no field of the record', () => {
    const { format, ...rest } = GOOD;
    const text = `{"__proto__": {"format": "${format}"}, ${JSON.stringify(rest).slice(1)}`;
    expect(() => readRecord(text, 'run.json')).toThrow('run.json: format: expected "kvgen-run", found nothing');
  });
});
