// The library as its users import it.

import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { loadModel } from '../src/index.js';
import { expectFailure } from './support/errors.js';
import { expectParity, goldenDir, readGolden } from './support/golden.js';

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

  it('says what is wrong with ids, folders and names', async () => {
    const model = await loadModel(goldenDir('gelu'));
    await expectFailure(() => model.logits([96], { cache: true }), 'token id 96', '95');
    model.dispose();
    await expectFailure(() => loadModel('./no/such/folder'), 'no/such/folder: not found or not a folder');
    await expectFailure(() => loadModel('no-such-model'), "model 'no-such-model' not found", 'hf download');
  });
});
