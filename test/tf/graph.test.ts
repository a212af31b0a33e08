// The captured engine against the eager one, on a model whose products are large enough to be split.

import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import type { KvCache } from '../../src/engine/kv-cache.js';
import { ModelFolder } from '../../src/files/model-folder.js';
import { generateMany } from '../../src/generation/generate-many.js';
import type { Model } from '../../src/library/model.js';
import { type Backend, openEngine } from '../../src/tf/backend.js';
import { type Binding, nodeBackend } from '../../src/tf/binding.js';
import { loadShape, readTensors } from '../../src/weights/folder.js';
import { countReplays, withBinding } from '../support/binding.js';
import { expectFailure } from '../support/errors.js';
import { expectParity } from '../support/golden.js';
import { randomize, TINY, writeModel } from '../support/model-folder.js';
import { open, useBackend } from '../support/open.js';
import { forward, greedy, optionsFor, run } from '../support/run.js';
import { tempDirs } from '../support/temp-dir.js';

const WIDE = { ...TINY, vocab_size: 1100, n_positions: 300, n_embd: 256, n_head: 4 };
const IDS = Array.from({ length: 300 }, (_, i) => (i * i + 3 * i) % 1100);
const tempDir = tempDirs();
let backend: Backend;
let dir: string;
let eager: Model;
let graph: Engine;

beforeAll(async () => {
  backend = await useBackend('node');
  dir = writeModel(tempDir(), { config: WIDE, tensors: randomize(WIDE) });
  eager = await open(dir);
  graph = await openGraph({ ...backend, threads: 3 }, (line) => expect.unreachable(line)); // 3: in uneven parts
  expect(graph.name).toBe('eager');
  runOnce(graph);
  expect(graph.name).toBe('graph');
});
afterAll(() => {
  eager.dispose();
  graph.dispose();
  expect(tf.memory().numTensors).toBe(0);
});

/** The captured engine on this backend. */
async function openGraph(on: Backend, onNote: (line: string) => void): Promise<Engine> {
  const shape = await loadShape(new ModelFolder(dir));
  return openEngine(shape.config, readTensors(new ModelFolder(dir), shape), on, { engine: 'graph', onNote });
}

/** A pass with a cache, which is not kept: an engine that always captures has captured then. */
function runOnce(engine: Engine): void {
  const cache = engine.newCache();
  forward(engine, [0], cache);
  cache.dispose();
}

/** Runs the same ids on both, compares, and gives both caches. */
function runBoth(parts: readonly (readonly number[])[], caches?: [KvCache, KvCache]): [KvCache, KvCache] {
  const [ours, theirs] = caches ?? [graph.newCache(), eager.engine.newCache()];
  for (const part of parts) {
    expectParity(forward(graph, part, ours), forward(eager.engine, part, theirs));
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
    expectParity(forward(eager.engine, [2], ours), forward(graph, [2], theirs));
    disposeAll([ours, theirs]);
  });

  it('with no more tensors from token to token', () => {
    const cache = graph.newCache();
    forward(graph, IDS.slice(0, 3), cache);
    const counts = new Set(
      IDS.slice(3, 140).map((id) => {
        forward(graph, [id], cache);
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

  it('auto captures as soon as several texts have had as many together', async () => {
    const model = await open(dir, { engine: 'auto' });
    const names: string[] = [];
    for (let text = 0; text < 3; text++) {
      await run(model.engine, IDS.slice(text, 4), { maxTokens: 10 }); // 9 steps
      names.push(model.engine.name);
    }
    expect(names).toEqual(['eager', 'eager', 'graph']);
    model.dispose();
  });

  it.each([
    [24, 'eager'],
    [25, 'graph'],
  ])('auto, several sequences of %i tokens together: %s', async (maxTokens, name) => {
    const model = await open(dir, { engine: 'auto' });
    const { engine } = model;
    const waiting = [0, 1, 2].map((start) => ({
      promptIds: IDS.slice(start, 4),
      sampler: greedy(),
      options: optionsFor(engine, { maxTokens }),
    }));
    for await (const event of generateMany(engine, { take: () => waiting.shift(), wait: async () => false }, 3)) {
      expect(event).not.toHaveProperty('error');
    }
    expect(engine.name).toBe(name);
    model.dispose();
  });

  it('one recording serves all passes with drafts, of one id and of several', async () => {
    const model = await open(dir, { engine: 'auto', onNote: (line) => expect.unreachable(line) });
    const { engine } = model;
    const [ours, theirs] = [engine.newCache(), eager.engine.newCache()];
    const { binding } = nodeBackend();
    let captures = 0;
    const loadSavedModel: Binding['loadSavedModel'] = (...args) => {
      captures++;
      return binding.loadSavedModel(...args);
    };
    forward(engine, [1, 2, 3], ours);
    forward(eager.engine, [1, 2, 3], theirs);
    ours.expected = 40;
    for (const ids of [[4], [5, 6, 7], [8, 9], [10]]) {
      const pass = { ids: [ids], wanted: ids.map((_, t) => t), drafts: true };
      const replays = countReplays(() => {
        const found = withBinding({ loadSavedModel }, () => engine.forward(pass, ours).map((logits) => logits.slice()));
        expectParity(
          found.flatMap((logits) => [...logits]),
          eager.engine.forward(pass, theirs).flatMap((logits) => [...logits]),
        );
      });
      expect(replays).toBeGreaterThan(0);
    }
    expect(captures).toBe(1);
    ours.dispose();
    theirs.dispose();
    model.dispose();
  });

  it('captures a model of two ids and three positions', async () => {
    const config = { ...TINY, vocab_size: 2, n_positions: 3, eos_token_id: 1 };
    const folder = writeModel(tempDir(), { config, tensors: randomize(config) });
    const model = await open(folder, { engine: 'graph', onNote: (line) => expect.unreachable(line) });
    const { engine } = model;
    const [one, other] = [engine.newCache(), engine.newCache()];
    // a capture runs its recording to check it, and then the pass is replayed
    expect(countReplays(() => engine.forward({ ids: [[1]], wanted: [0] }, one))).toBe(2);
    expect(engine.name).toBe('graph');
    expect(countReplays(() => engine.forward({ ids: [[1, 0]], wanted: [0, 1] }, other))).toBe(2);
    const both = engine.gather([one, other].map((cache) => ({ cache, places: [0] })));
    expect(countReplays(() => engine.forward({ ids: [[0], [1]], wanted: [0, 1] }, both))).toBe(2);
    expect(engine.name).toBe('graph');
    disposeAll([one, other, both]);
    model.dispose();
  });

  it('a capture that fails leaves the eager engine, and says why once', async () => {
    const notes: string[] = [];
    const before = tf.memory().numTensors;
    const engine = await openGraph({ ...backend, tfjsNodeDir: tempDir() }, (line) => notes.push(line));
    const loaded = tf.memory().numTensors;
    const { ids } = await run(engine, IDS.slice(0, 4), { maxTokens: 3 });
    expect(engine.name).toBe('eager');
    expect(ids).toEqual((await run(eager.engine, IDS.slice(0, 4), { maxTokens: 3 })).ids);
    expect(notes).toEqual([expect.stringMatching(/^the engine stays eager: .+$/)]);
    expect(tf.memory().numTensors).toBe(loaded);
    engine.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('graph needs the node backend', async () => {
    await expectFailure(
      () => openGraph({ name: 'cpu', threads: 1 }, (line) => expect.unreachable(line)),
      '--engine graph needs the node backend, found cpu',
    );
  });

  it('after dispose nothing is captured again', async () => {
    const model = await open(dir, { engine: 'graph' });
    const { engine } = model; // a model that has been disposed does not give it
    runOnce(engine);
    expect(engine.name).toBe('graph');
    model.dispose();
    model.dispose();
    expect(engine.name).toBe('eager');
    const replays = countReplays(() => expect(() => runOnce(engine)).toThrow());
    expect([engine.name, replays]).toEqual(['eager', 0]);
  });
});
