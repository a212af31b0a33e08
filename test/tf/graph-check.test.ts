// A forward pass that is not fit for recording: something in it is a number of JavaScript where it should be a
// tensor. The recording would be wrong at every other token, so the engine must notice and stay eager.

import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { GraphEngine } from '../../src/tf/graph.js';
import { loadConfig, loadWeights } from '../../src/weights/folder.js';
import { expectParity, goldenDir, readGolden } from '../support/golden.js';
import { useBackend } from '../support/open.js';

type Model = typeof import('../../src/tf/gpt2.js');
type Forward = Model['forward'];

/** What the pass under test adds to the logits. */
const added = vi.hoisted(() => ({ to: (_: Parameters<Forward>): number => 0 }));

vi.mock('../../src/tf/gpt2.js', async (original) => {
  const real = await original<Model>();
  const forward: Forward = (...args) => {
    const { logits, presents } = real.forward(...args);
    const steps = tf.mul(tf.range(0, logits.shape[1]), added.to(args));
    return { logits: tf.add<tf.Tensor2D>(logits, steps), presents };
  };
  return { ...real, forward };
});

const NAME = 'gpt2-micro';
let tfjsNodeDir: string;
let notes: string[];

beforeAll(async () => {
  tfjsNodeDir = (await useBackend('node')).tfjsNodeDir as string;
});
beforeEach(() => {
  notes = [];
  added.to = () => 0;
});

async function open(): Promise<GraphEngine> {
  const dir = goldenDir(NAME);
  const config = await loadConfig(dir);
  const onNote = (line: string) => notes.push(line);
  return new GraphEngine(config, await loadWeights(dir, config), { tfjsNodeDir, shards: 2, always: true, onNote });
}

describe.each(['decode', 'rows', 'batch'] as const)('while recording for %s, a number that depends on', (phase) => {
  const numbers: [string, (args: Parameters<Forward>) => number][] = [
    ['the token', ([, , { ids }]) => 1e-2 * (ids.dataSync()[0] as number)],
    ['the position', ([, , { positions }]) => 1e-2 * (positions.dataSync()[0] as number)],
    ['the length of the past', ([, , , past]) => 1e-2 * (past?.[0]?.at(-1)?.k.shape[2] ?? 0)],
    ['the length of its older part', ([, , , past]) => 1e-2 * (past?.[0]?.[0]?.k.shape[2] ?? 0)],
    ['the number of tokens', ([, , { ids }]) => 1e-2 * ids.size],
  ];
  it.each(numbers)('%s', async (_, number) => {
    added.to = number;
    const before = tf.memory().numTensors;
    const engine = await open();
    const loaded = tf.memory().numTensors;
    engine.prepare(phase, 99);
    engine.prepare(phase, 99);
    expect(engine.name).toBe('eager');
    expect(notes).toEqual([
      expect.stringMatching(/^the engine stays eager: the recording differs from it by \S+ of \S+$/),
    ]);
    expect(tf.memory().numTensors).toBe(loaded);
    engine.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});

it('a number that depends on none of them is no reason', async () => {
  added.to = () => 1e-9;
  const engine = await open();
  engine.prepare('decode', 99);
  expect([engine.name, notes]).toEqual(['graph', []]);
  const { prompt_ids: ids, logits_last: expected } = readGolden(NAME);
  const cache = engine.newCache();
  expectParity(engine.forward(ids, cache), expected);
  cache.dispose();
  engine.dispose();
});
