// The library as its users import it.

import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as library from '../../src/index.js';
import { generate, loadModel, type Model } from '../../src/index.js';
import { kvgenJson } from '../cli/run.js';
import { expectFailure } from '../support/errors.js';
import { expectParity, goldenDir, readGolden } from '../support/golden.js';
import { tempDirs } from '../support/temp-dir.js';

const tempDir = tempDirs();

describe('loadModel', () => {
  it('takes a folder; its logits are those of Hugging Face', async () => {
    const golden = readGolden('untied');
    const model = await loadModel(goldenDir('untied'), { backend: 'node' });
    expect(tf.getBackend()).toBe('tensorflow');
    for (const cache of [true, false]) {
      const logits = model.logits(golden.prompt_ids, { cache });
      expect(logits).toBeInstanceOf(Float32Array);
      expectParity(logits, golden.logits_last);
    }
    model.dispose();
    model.dispose();
    expect(tf.memory().numTensors).toBe(0);
  });

  it('takes two models at once, and disposing one leaves the other', async () => {
    const [one, other] = await Promise.all([loadModel(goldenDir('gelu')), loadModel(goldenDir('relu'))]);
    one.dispose();
    const golden = readGolden('relu');
    expectParity(other.logits(golden.prompt_ids, { cache: true }), golden.logits_last);
    other.dispose();
  });

  it('says what is wrong with its options, and what the model is computed on', async () => {
    const dir = goldenDir('gelu');
    const wrong = (options: object) => loadModel(dir, options);
    await expectFailure(() => wrong({ backend: 'gpu' }), "backend must be 'auto', 'node', 'simd' or 'cpu', got 'gpu'");
    await expectFailure(() => wrong({ weights: 'int4' }), "weights must be 'float32' or 'int8', got 'int4'");
    await expectFailure(() => wrong({ threads: 0 }), 'threads must be a whole number in 1 … 1024, got 0');
    await expectFailure(() => wrong({ backend: 'node', weights: 'int8' }), 'weights int8 cannot go with backend node');
    await expectFailure(
      () => wrong({ wieghts: 'int8' }),
      'loadModel has no option wieghts; it has backend, weights, threads',
    );
    const model = await loadModel(dir, { backend: 'node', weights: 'float32' });
    expect(model).toMatchObject({ backend: 'node', weights: 'float32', threads: expect.any(Number) });
    model.dispose();
  });

  it('says what is wrong with ids, folders and names', async () => {
    const model = await loadModel(goldenDir('gelu'));
    await expectFailure(() => model.logits([96], { cache: true }), 'token id 96', '95');
    model.dispose();
    await expectFailure(() => loadModel('../no/such/folder'), 'no/such/folder: not found or not a folder');
    await expectFailure(() => loadModel('no-such-model'), "model 'no-such-model' not found", 'kvgen pull');
  });
});

describe('generate', () => {
  let model: Model;
  beforeAll(async () => {
    model = await loadModel('stories');
  });
  afterAll(() => model.dispose());

  async function all(...args: Parameters<typeof generate>) {
    const tokens = generate(...args);
    const found: library.CompletionToken[] = [];
    for (let next = await tokens.next(); ; next = await tokens.next()) {
      if (next.done === true) {
        const { text, tokens, finishReason, stats, ...made } = next.value;
        expect(text).toBe(found.map(({ text }) => text).join(''));
        expect(tokens).toEqual(found);
        return { tokens: found, text, end: finishReason, stats, ...made };
      }
      found.push(next.value);
    }
  }

  it('gives the text of the command', async () => {
    const options = { maxTokens: 20, seed: 7, temperature: 1.1, topK: 100, repeatPenalty: 1.2, stop: ['dragon'] };
    const args = '-n 20 --seed 7 --temp 1.1 --top-k 100 --repeat-penalty 1.2 --stop dragon'.split(' ');
    const { json } = await kvgenJson([...args, 'Once upon a time']);
    const { tokens, text, end, stats, promptIds, seed } = await all(model, 'Once upon a time', options);
    expect({ ids: tokens.map(({ id }) => id), text, finish_reason: end }).toEqual({
      ids: json.ids,
      text: json.text,
      finish_reason: json.finish_reason,
    });
    expect({ prompt_ids: promptIds, seed }).toEqual({ prompt_ids: json.prompt_ids, seed: 7 });
    const positions = promptIds.length + stats.generationTokens - 1;
    expect(stats).toEqual({
      generationTokens: json.generation_tokens,
      drafts: null,
      loadMs: expect.any(Number),
      promptMs: expect.any(Number),
      reusedTokens: 0,
      reusedFrom: null,
      firstTokenMs: expect.any(Number),
      decodeMs: expect.any(Number),
      cachePositions: positions,
      cacheBytes: positions * 2 * model.config.nLayer * model.config.nEmbd * 4,
      numTensors: [expect.any(Number), expect.any(Number)],
    });
    const uncached = await all(model, [481, 480, 259, 423], { ...options, cache: false });
    expect(uncached.text).toBe(text);
    expect(uncached.promptIds).toEqual([481, 480, 259, 423]);
    expect(uncached.stats).toMatchObject({ cachePositions: 0, cacheBytes: 0 });
  });

  it('gives log-probabilities where they are asked for', async () => {
    const [token] = (await all(model, 'Once upon a', { maxTokens: 1, temperature: 0, logprobs: 2 })).tokens;
    expect(token?.top?.[0]).toEqual({ id: token?.id, logprob: token?.logprob });
    const [plain] = (await all(model, 'Once upon a', { maxTokens: 1, temperature: 0 })).tokens;
    expect(Object.keys(plain ?? {})).toEqual(['id', 'text']);
  });

  it('chooses a seed where none is given, with which the same text comes again', async () => {
    const options = { maxTokens: 12, temperature: 1.5, topK: 0, topP: 1 };
    const [one, other] = [await all(model, 'Once', options), await all(model, 'Once', options)];
    expect(one.seed).not.toBe(other.seed);
    const again = await all(model, 'Once', { ...options, seed: one.seed });
    expect([again.seed, again.tokens]).toEqual([one.seed, one.tokens]);
  });

  it('ends when its signal aborts, and frees what it held', async () => {
    const controller = new AbortController();
    const before = tf.memory().numTensors;
    const tokens = generate(model, 'Once', { maxTokens: Number.POSITIVE_INFINITY, signal: controller.signal });
    const { value: first } = await tokens.next();
    controller.abort();
    expect(await tokens.next()).toMatchObject({
      done: true,
      value: { finishReason: 'abort', tokens: [first], stats: { generationTokens: 1 } },
    });
    expect(tf.memory().numTensors).toBe(before);
  });

  it('two at once do not disturb each other', async () => {
    const options = { maxTokens: 8, temperature: 0 };
    const [one, other] = await Promise.all([all(model, 'The dog', options), all(model, 'The moon was', options)]);
    expect(one.text).toBe((await all(model, 'The dog', options)).text);
    expect(other.text).toBe((await all(model, 'The moon was', options)).text);
  });

  it('says what is wrong with options and prompts', async () => {
    const bad: [options: object, message: string][] = [
      [{ topP: 2 }, 'topP must be in (0, 1], got 2'],
      [{ temperature: 'hot' }, "temperature must be a number, got 'hot'"],
      [{ temperature: Number.POSITIVE_INFINITY }, 'temperature must be'],
      [{ seed: Number.POSITIVE_INFINITY }, 'seed must be'],
      [{ maxTokens: 1.5 }, 'maxTokens must be a whole number from 0, or Infinity, got 1.5'],
      [{ maxTokens: -1 }, 'maxTokens must be a whole number from 0, or Infinity, got -1'],
      [{ max_tokens: 5 }, 'generate has no option max_tokens; it has maxTokens, '],
      [{ stop: [''] }, "stop must be a list of texts, none of them empty, got [ '' ]"],
      [{ stop: '.' }, "stop must be a list of texts, none of them empty, got '.'"],
      [{ logitBias: { 12: -1 } }, "logitBias must be a Map of token ids and numbers, got { '12': -1 }"],
      [{ logitBias: new Map([[12, Number.NaN]]) }, 'logitBias must be a Map of token ids and numbers, got Map'],
      [{ logitBias: new Map([[4096, 1]]) }, "logitBias 4096: the model's token ids end at 4095"],
      [{ onFull: 'go on' }, "onFull must be 'stop' or 'reprefill', got 'go on'"],
      [{ cache: 'no' }, "cache must be true or false, got 'no'"],
      [{ signal: {} }, 'signal must be an AbortSignal, got {}'],
    ];
    for (const [options, message] of bad) {
      await expectFailure(() => all(model, 'x', options as library.GenerateOptions), message);
    }
    await expectFailure(
      () => all(model, 5 as unknown as string),
      'prompt: expected a text or a list of token ids, got 5',
    );
    await expectFailure(() => all({} as Model, 'x'), 'expected a model that loadModel gave');
    await expectFailure(() => loadModel('stories', { backend: 'x' as 'cpu' }), "backend must be 'auto', 'node',");
    await expectFailure(() => all(model, [9999]), 'token id 9999');
    await expectFailure(() => all(model, 'x '.repeat(600)), 'the context 512: no room for one more; shorten it');
    const bare = await loadModel(goldenDir('gelu'));
    await expectFailure(() => all(bare, 'x'), 'no tokenizer');
    await expectFailure(() => all(bare, [1], { stop: ['.'] }), 'stop needs a tokenizer');
    expect((await all(bare, [1, 2], { maxTokens: 3 })).tokens.map(({ text }) => text)).toEqual(['', '', '']);
    bare.dispose();
    await expectFailure(() => all(bare, [1]), 'the model has been disposed');
  });

  it('goes on past the end-of-text token where it is told to', async () => {
    const options = { maxTokens: 40, temperature: 0, logitBias: new Map([[0, 1e6]]) };
    expect(await all(model, 'x', options)).toMatchObject({ tokens: [], end: 'stop' });
    const { tokens, end } = await all(model, 'x', { ...options, ignoreEos: true });
    expect([tokens.map(({ id }) => id), end]).toEqual([Array(40).fill(0), 'length']);
  });

  it('never gives an id that has no token', async () => {
    const padded = await loadModel(goldenDir('padded-vocab'));
    const { tokens } = await all(padded, 'the moon', {
      maxTokens: 30,
      temperature: 100,
      topK: 0,
      topP: 1,
      ignoreEos: true,
      seed: 1,
    });
    const names = new Map(Object.entries(vocabulary('padded-vocab')).map(([name, id]) => [id, name]));
    expect(tokens.filter(({ id }) => !names.has(id))).toEqual([]);
    expect(padded.engine.config.vocabSize).toBeGreaterThan(names.size);
    padded.dispose();
  });
});

function vocabulary(name: string): Record<string, number> {
  return JSON.parse(readFileSync(join(goldenDir(name), 'tokenizer.json'), 'utf8')).model.vocab;
}

it('nothing else is exported', () => {
  expect(Object.keys(library).sort()).toEqual(['generate', 'loadModel']);
});

it('the example in the README runs', async () => {
  const [, example] = /```js\n(import [\s\S]*?)```/.exec(readFileSync('README.md', 'utf8')) ?? [];
  const dir = tempDir();
  mkdirSync(join(dir, 'node_modules'));
  symlinkSync(process.cwd(), join(dir, 'node_modules', 'kvgen'));
  writeFileSync(join(dir, 'example.mjs'), example as string);
  const { stdout, stderr, status } = spawnSync(process.execPath, ['example.mjs'], { cwd: dir, encoding: 'utf8' });
  const { json } = await kvgenJson(['-n', '200', '--temp', '0', '--stop', '.', 'Once upon a time']);
  expect({ status, stderr, stdout }).toEqual({ status: 0, stderr: '', stdout: `${json.text}\n12\n` });
});
