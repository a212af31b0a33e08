// The number of tensors: constant from token to token, and back to where it was at the end.

import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { complete } from '../../src/completion/complete.js';
import { ModelFolder } from '../../src/files/model-folder.js';
import { generate } from '../../src/generation/generate.js';
import type { SequenceStats } from '../../src/generation/sequence.js';
import type { Model } from '../../src/library/model.js';
import { openEngine } from '../../src/tf/backend.js';
import { loadShape, readTensors } from '../../src/weights/folder.js';
import { byteTokenizer } from '../support/byte-tokenizer.js';
import { expectFailure } from '../support/errors.js';
import { TINY, writeModel } from '../support/model-folder.js';
import { open, useBackend } from '../support/open.js';
import { forward, greedy, optionsFor, run } from '../support/run.js';
import { float32 } from '../support/safetensors.js';
import { tempDirs } from '../support/temp-dir.js';

const PROMPT = [3, 14, 1, 5];
const tempDir = tempDirs();
const numTensors = () => tf.memory().numTensors;
let model: Model;
let start: number;

beforeAll(async () => {
  await useBackend('node');
});
beforeEach(() => {
  start = numTensors();
});

describe.each<[engine: 'eager' | 'graph', cache: boolean]>([
  ['eager', true],
  ['eager', false],
  ['graph', true],
])('engine %s, cache %s', (engine, cache) => {
  let before: number;
  beforeAll(async () => {
    before = numTensors();
    model = await open(writeModel(tempDir()), { engine });
    const cache = model.engine.newCache();
    forward(model.engine, [0], cache);
    cache.dispose();
    expect(model.engine.name).toBe(engine);
  });
  afterAll(() => {
    model.dispose();
    expect(numTensors()).toBe(before);
  });

  /** The same number after every token: that of the cache, or none. */
  const expectConstant = (counts: number[], tokens: number) => {
    expect(counts).toEqual(new Array(tokens).fill(counts[0]));
    expect(counts[0] !== 0).toBe(cache);
  };

  it('keeps the same number of tensors from token to token, and none at the end', async () => {
    const counts: number[] = [];
    let stats: SequenceStats | undefined;
    const options = optionsFor(model.engine, { cache, maxTokens: 12 });
    for await (const token of generate(model.engine, greedy(), PROMPT, options)) {
      counts.push(numTensors() - start);
      ({ stats } = token);
    }
    expectConstant(counts, 12);
    expect(stats?.numTensors?.map((count) => count - start)).toEqual([counts[0], counts[0]]);
    expect(numTensors()).toBe(start);
  });

  it('keeps none after an abort while decoding', async () => {
    const controller = new AbortController();
    const options = optionsFor(model.engine, { cache, signal: controller.signal, maxTokens: 12 });
    const tokens = generate(model.engine, greedy(), PROMPT, options);
    await tokens.next();
    await tokens.next();
    controller.abort();
    expect(await tokens.next()).toMatchObject({ done: true, value: { finishReason: 'abort' } });
    expect(numTensors()).toBe(start);
  });

  it('keeps none after an abort before prefill', async () => {
    const { ids, reason } = await run(model.engine, PROMPT, { cache, signal: AbortSignal.abort() });
    expect([ids, reason, numTensors()]).toEqual([[], 'abort', start]);
  });

  it('keeps none when the reader leaves early', async () => {
    const options = optionsFor(model.engine, { cache, maxTokens: 12 });
    for await (const _ of generate(model.engine, greedy(), PROMPT, options)) {
      break;
    }
    expect(numTensors()).toBe(start);
  });

  it('keeps none when the sampler throws', async () => {
    const broken = () => {
      throw new Error('no id');
    };
    await expect(run(model.engine, PROMPT, { cache }, broken)).rejects.toThrow('no id');
    expect(numTensors()).toBe(start);
  });

  it('keeps none when a prefill runs out of positions', async () => {
    const tooMany = new Array(TINY.n_positions + 1).fill(1);
    await expect(run(model.engine, tooMany, { cache, nCtx: 99 })).rejects.toThrow();
    expect(numTensors()).toBe(start);
  });

  it('keeps as many after reprefills as before', async () => {
    const counts: number[] = [];
    const options = optionsFor(model.engine, { cache, maxTokens: 40, nCtx: 12, onFull: 'reprefill' });
    for await (const _ of generate(model.engine, greedy(), PROMPT, options)) {
      counts.push(numTensors() - start);
    }
    expectConstant(counts, 40);
    expect(numTensors()).toBe(start);
  });

  it('keeps none after a stop string', async () => {
    const letters = Array.from({ length: TINY.vocab_size }, (_, i) => String.fromCharCode(97 + (i % 26)));
    const tokenizer = { ...byteTokenizer(letters), bytes: (id: number) => byteTokenizer(letters).bytes(256 + id) };
    const options = optionsFor(model.engine, { cache, maxTokens: 12 });
    const free = { promptIds: PROMPT, sampler: greedy(), stops: [], special: false, logprobs: undefined, options };
    let text = '';
    for await (const token of complete(model.engine, tokenizer, free)) {
      text += token.text;
    }
    const stop = text.slice(3, 6);
    let stopped = '';
    for await (const token of complete(model.engine, tokenizer, { ...free, stops: [stop] })) {
      stopped += token.text;
    }
    expect(stopped).toBe(text.slice(0, text.indexOf(stop)));
    expect(numTensors()).toBe(start);
  });

  it('keeps none after model.logits', () => {
    model.logits(PROMPT, { cache });
    expect(() => model.logits([99], { cache })).toThrow();
    expect(numTensors()).toBe(start);
  });
});

it('keeps none after an abort in the middle of prefill', async () => {
  const dir = tempDir();
  writeModel(dir, {
    config: { n_positions: 600 },
    tensors: (tensors) => tensors.set('wpe.weight', float32([600, TINY.n_embd], new Float32Array(600 * TINY.n_embd))),
  });
  const long = await open(dir);
  const loaded = numTensors();
  const controller = new AbortController();
  const steps: number[] = [];
  const onPrefill = (done: number) => {
    steps.push(done);
    controller.abort();
  };
  const { reason } = await run(long.engine, new Array(550).fill(1), { signal: controller.signal, onPrefill });
  expect([reason, steps, numTensors()]).toEqual(['abort', [256], loaded]);
  long.dispose();
  expect(numTensors()).toBe(start);
});

describe('loading', () => {
  it('gives everything back on dispose, also when called twice', async () => {
    const other = await open(writeModel(tempDir()));
    expect(numTensors()).toBe(start + 4 + 12 * TINY.n_layer);
    other.dispose();
    other.dispose();
    expect(numTensors()).toBe(start);
  });

  it('counts an untied head as one more, and a repeated embedding not', async () => {
    const copied = await open(
      writeModel(tempDir(), {
        tensors: (tensors) => tensors.set('lm_head.weight', tensors.get('wte.weight') as ReturnType<typeof float32>),
      }),
    );
    expect(numTensors()).toBe(start + 4 + 12 * TINY.n_layer);
    copied.dispose();
    const untied = await open(
      writeModel(tempDir(), {
        config: { tie_word_embeddings: false },
        tensors: (tensors) => tensors.set('lm_head.weight', float32([32, 8], new Float32Array(256).fill(0.1))),
      }),
    );
    expect(numTensors()).toBe(start + 5 + 12 * TINY.n_layer);
    untied.dispose();
    expect(numTensors()).toBe(start);
  });

  it('frees what it has when a later tensor cannot be read', async () => {
    const dir = writeModel(tempDir());
    let loaded = 0;
    await expectFailure(
      () =>
        open(dir, {
          onProgress: () => {
            loaded = Math.max(loaded, numTensors() - start);
            if (loaded > 10) {
              truncateSync(join(dir, 'model.safetensors'), 1000); // the file was whole when it was opened
            }
          },
        }),
      'model.safetensors',
      '; download it again',
    );
    expect(loaded).toBeGreaterThan(10);
    expect(numTensors()).toBe(start);
  });

  it('frees what it has when it is aborted', async () => {
    const controller = new AbortController();
    const onProgress = (line: string) => {
      if (line === `loading test 9/${4 + 12 * TINY.n_layer}`) {
        controller.abort(new Error('stopped by a test'));
      }
    };
    const opening = open(writeModel(tempDir()), { signal: controller.signal, onProgress });
    await expect(opening).rejects.toThrow('stopped by a test');
    expect(numTensors()).toBe(start);
  });

  it('frees what it has when the engine has no forward pass for it', async () => {
    const dir = writeModel(tempDir());
    const shape = await loadShape(new ModelFolder(dir));
    const config = { ...shape.config, modelType: 'bigram' };
    const options = { engine: 'eager' as const, onNote: (line: string) => expect.unreachable(line) };
    await expectFailure(
      () => openEngine(config, readTensors(new ModelFolder(dir), shape), { name: 'node', threads: 1 }, options),
      'no forward pass for model_type bigram',
    );
    expect(numTensors()).toBe(start);
  });

  it('makes no tensor of a folder whose config is broken', async () => {
    const dir = writeModel(tempDir());
    writeFileSync(join(dir, 'config.json'), '{"model_type": "gpt2",');
    await expectFailure(() => open(dir), 'config.json', 'not JSON');
    expect(numTensors()).toBe(start);
  });
});
