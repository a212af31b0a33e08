// One model of random weights on the node backend, run op by op and from recordings. Freed at the end of the file's
// tests, which must have left nothing else.

import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, expect } from 'vitest';
import type { Model } from '../../src/library/model.js';
import { randomize, type TINY, writeModel } from './model-folder.js';
import { open, useBackend } from './open.js';
import { tempDirs } from './temp-dir.js';

/** Filled before the first test. */
export interface BothEngines {
  eager: Model;
  graph: Model;
}

export function bothEngines(shape: typeof TINY): BothEngines {
  const tempDir = tempDirs();
  const models = {} as BothEngines;
  let empty: number;
  beforeAll(async () => {
    await useBackend('node');
    const dir = writeModel(tempDir(), { config: shape, tensors: randomize(shape) });
    empty = tf.memory().numTensors;
    models.eager = await open(dir);
    models.graph = await open(dir, { engine: 'graph', onNote: (line) => expect.unreachable(line) });
  });
  afterAll(() => {
    models.eager.dispose();
    models.graph.dispose();
    expect(tf.memory().numTensors).toBe(empty);
  });
  return models;
}
