// A forward pass that is not fit for recording: something in it is a number of JavaScript where it should be a
// tensor. The recording would be wrong at every other token, so the engine must notice and stay eager.

import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Engine, Pass } from '../../src/engine/engine.js';
import { ModelFolder } from '../../src/files/model-folder.js';
import { type Backend, openEngine } from '../../src/tf/backend.js';
import type { TfModel } from '../../src/tf/tf-model.js';
import { loadShape, readTensors } from '../../src/weights/folder.js';
import { expectParity, goldenDir, readGolden } from '../support/golden.js';
import { useBackend } from '../support/open.js';
import { forward } from '../support/run.js';

type Gpt2 = typeof import('../../src/tf/gpt2.js');
type Forward = TfModel['forward'];

/** What the pass under test adds to the logits. */
const added = vi.hoisted(() => ({ to: (_: Parameters<Forward>): number => 0 }));

vi.mock('../../src/tf/gpt2.js', async (original) => {
  const real = await original<Gpt2>();
  const gpt2Model: Gpt2['gpt2Model'] = (...made) => {
    const { parameters, window, forward } = real.gpt2Model(...made);
    return {
      parameters,
      window,
      forward: (...args) => {
        const { logits, presents } = forward(...args);
        const steps = tf.mul(tf.range(0, logits.shape[1]), added.to(args));
        return { logits: tf.add<tf.Tensor2D>(logits, steps), presents };
      },
    };
  };
  return { ...real, gpt2Model };
});

const NAME = 'gpt2-micro';
let backend: Backend;
let notes: string[];

beforeAll(async () => {
  backend = await useBackend('node');
});
beforeEach(() => {
  notes = [];
  added.to = () => 0;
});

async function open(): Promise<Engine> {
  const dir = goldenDir(NAME);
  const shape = await loadShape(new ModelFolder(dir));
  const onNote = (line: string) => notes.push(line);
  return openEngine(
    shape.config,
    readTensors(new ModelFolder(dir), shape),
    { ...backend, threads: 2 },
    { engine: 'graph', onNote },
  );
}

/** A pass of each kind that is recorded, behind a position of each sequence. */
const passes: [what: string, pass: Pass][] = [
  ['one sequence', { ids: [[3]], wanted: [0] }],
  ['the logits of several ids', { ids: [[3, 4]], wanted: [0, 1] }],
  ['several sequences', { ids: [[3], [4]], wanted: [0, 1] }],
];

/** Runs it on a cache of its own, which needs no pass before it. */
function runOnce(engine: Engine, pass: Pass): void {
  const { nLayer, nKvHead, headDim } = engine.config;
  const values = () => Float32Array.from({ length: nKvHead * headDim }, (_, i) => Math.sin(i));
  const layers = Array.from({ length: nLayer }, () => ({ k: values(), v: values() }));
  const single = engine.newCache({ length: 1, nKvHead, headDim, layers });
  const cache = engine.gather([{ cache: single, places: pass.ids.map(() => 0) }]);
  engine.forward(pass, cache);
  expect(cache.length).toBe(1 + (pass.ids[0]?.length ?? 0));
  single.dispose();
  cache.dispose();
}

describe.each(passes)('while recording for %s, a number that depends on', (_, pass) => {
  const numbers: [string, (args: Parameters<Forward>) => number][] = [
    ['the token', ([{ ids }]) => 1e-2 * (ids.dataSync()[0] as number)],
    ['the position', ([{ positions }]) => 1e-2 * (positions.dataSync()[0] as number)],
    ['the length of the past', ([, past]) => 1e-2 * (past?.[0]?.at(-1)?.k.shape[2] ?? 0)],
    ['the length of its older part', ([, past]) => 1e-2 * (past?.[0]?.[0]?.k.shape[2] ?? 0)],
    ['the number of tokens', ([{ ids }]) => 1e-2 * ids.size],
  ];
  it.each(numbers)('%s', async (_, number) => {
    added.to = number;
    const before = tf.memory().numTensors;
    const engine = await open();
    const loaded = tf.memory().numTensors;
    runOnce(engine, pass);
    runOnce(engine, pass);
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
  for (const [, pass] of passes) {
    runOnce(engine, pass);
  }
  expect([engine.name, notes]).toEqual(['graph', []]);
  const { prompt_ids: ids, logits_last: expected } = readGolden(NAME);
  const cache = engine.newCache();
  expectParity(forward(engine, ids, cache), expected);
  cache.dispose();
  engine.dispose();
});
