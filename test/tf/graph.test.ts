// The captured engine against the eager one, on a model whose products are large enough to be split.

import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Model, openModel } from '../../src/library/model.js';
import type { Backend } from '../../src/tf/backend.js';
import type { KvCache } from '../../src/tf/tensor-cache.js';
import { expectFailure } from '../support/errors.js';
import { expectParity } from '../support/golden.js';
import { randomize, TINY, writeModel } from '../support/model-folder.js';
import { open, useBackend } from '../support/open.js';
import { run } from '../support/run.js';
import { tempDirs } from '../support/temp-dir.js';

const WIDE = { ...TINY, vocab_size: 1100, n_positions: 300, n_embd: 256, n_head: 4 };
const IDS = Array.from({ length: 300 }, (_, i) => (i * i + 3 * i) % 1100);
const tempDir = tempDirs();
let backend: Backend;
let dir: string;
let eager: Model;
let graph: Model;

beforeAll(async () => {
  backend = await useBackend('node');
  dir = writeModel(tempDir(), { config: WIDE, tensors: randomize(WIDE) });
  eager = await open(dir);
  const onNote = (line: string) => expect.unreachable(line);
  graph = await openModel(dir, { ...backend, threads: 3 }, { engine: 'graph', onNote }); // 3: in uneven parts
  expect(graph.engine.name).toBe('eager');
  graph.engine.prepare?.('decode', 1);
  expect(graph.engine.name).toBe('graph');
});
afterAll(() => {
  eager.dispose();
  graph.dispose();
  expect(tf.memory().numTensors).toBe(0);
});

/** Runs the same ids on both, compares, and gives both caches. */
function runBoth(parts: readonly (readonly number[])[], caches?: [KvCache, KvCache]): [KvCache, KvCache] {
  const [ours, theirs] = caches ?? [graph.engine.newCache(), eager.engine.newCache()];
  for (const part of parts) {
    expectParity(graph.engine.forward(part, ours), eager.engine.forward(part, theirs));
  }
  expect(ours.length).toBe(theirs.length);
  return [ours, theirs];
}

function disposeAll(caches: readonly KvCache[]): void {
  for (const cache of caches) {
    cache.dispose();
  }
}

describe('the captured engine gives the logits of the eager one', () => {
  it('token by token from an empty cache, over all that a cache does', () => {
    disposeAll(runBoth(IDS.slice(0, 140).map((id) => [id])));
  });

  it('in pieces of any size, up to the last position', () => {
    disposeAll(runBoth([IDS.slice(0, 100), IDS.slice(100, 102), IDS.slice(102, 298), [7], [8]]));
  });

  it('after a truncation and on a fork', () => {
    const caches = runBoth([IDS.slice(0, 200), IDS.slice(200, 210)]);
    for (const cache of caches) {
      cache.truncate(150);
    }
    runBoth([[5], [6, 7]], caches);
    const forks: [KvCache, KvCache] = [caches[0].fork(), caches[1].fork()];
    disposeAll(caches);
    disposeAll(runBoth([[9]], forks));
  });

  it('and its cache may go on with the eager engine', () => {
    const [ours, theirs] = runBoth([IDS.slice(0, 30), [1]]);
    expectParity(eager.engine.forward([2], ours), graph.engine.forward([2], theirs));
    disposeAll([ours, theirs]);
  });

  it('with no more tensors from token to token', () => {
    const cache = graph.engine.newCache();
    graph.engine.forward(IDS.slice(0, 3), cache);
    const counts = new Set(
      IDS.slice(3, 140).map((id) => {
        graph.engine.forward([id], cache);
        return tf.memory().numTensors;
      }),
    );
    expect(counts.size).toBe(1);
    cache.dispose();
  });
});

describe('the choice', () => {
  it('auto captures from 24 tokens on, and not without a cache', async () => {
    const names: Record<string, string> = {};
    for (const [maxTokens, cache] of [
      [24, true],
      [25, true],
      [99, false],
    ] as const) {
      const model = await open(dir, { engine: 'auto' });
      await run(model.engine, IDS.slice(0, 4), { maxTokens, cache });
      names[`${maxTokens}, cache ${cache}`] = model.engine.name;
      model.dispose();
    }
    expect(names).toEqual({ '24, cache true': 'eager', '25, cache true': 'graph', '99, cache false': 'eager' });
  });

  it('captures a model of two ids and three positions', async () => {
    const config = { ...TINY, vocab_size: 2, n_positions: 3, eos_token_id: 1 };
    const folder = writeModel(tempDir(), { config, tensors: randomize(config) });
    const model = await open(folder, { engine: 'graph', onNote: (line) => expect.unreachable(line) });
    for (const phase of ['decode', 'rows', 'batch'] as const) {
      model.engine.prepare?.(phase, 1);
    }
    expect(model.engine.name).toBe('graph');
    model.dispose();
  });

  it('a capture that fails leaves the eager engine, and says why once', async () => {
    const notes: string[] = [];
    const onNote = (line: string) => notes.push(line);
    const elsewhere = { ...backend, tfjsNodeDir: tempDir() };
    const before = tf.memory().numTensors;
    const model = await openModel(dir, elsewhere, { engine: 'graph', onNote });
    const loaded = tf.memory().numTensors;
    const { ids } = await run(model.engine, IDS.slice(0, 4), { maxTokens: 3 });
    expect(model.engine.name).toBe('eager');
    expect(ids).toEqual((await run(eager.engine, IDS.slice(0, 4), { maxTokens: 3 })).ids);
    expect(notes).toEqual([expect.stringMatching(/^the engine stays eager: .+$/)]);
    expect(tf.memory().numTensors).toBe(loaded);
    model.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('graph needs the node backend', async () => {
    await expectFailure(
      () => openModel(dir, { name: 'wasm', threads: 1 }, { engine: 'graph' }),
      '--engine graph needs the node backend, found wasm',
    );
  });

  it('after dispose nothing is captured again', async () => {
    const model = await open(dir, { engine: 'graph' });
    const { engine } = model; // a model that has been disposed does not give it
    engine.prepare?.('decode', 99);
    model.dispose();
    model.dispose();
    engine.prepare?.('decode', 99);
    expect(engine.name).toBe('eager');
  });
});
