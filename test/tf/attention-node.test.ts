import { expect, it, vi } from 'vitest';
import { tf } from '../../src/tf/tf.js';
import { attentionOf, testAttention } from '../support/attention.js';
import { expectParity, goldenDir } from '../support/golden.js';
import { open } from '../support/open.js';
import { forward } from '../support/run.js';

testAttention('node');

it('a pass that asks runs op by op where the others are replayed, and goes on from their cache', async () => {
  const model = await open(goldenDir('gpt2-micro'), { engine: 'graph', tokenizer: async () => null });
  const { engine } = model;
  const [cache, other] = [engine.newCache(), engine.newCache()];
  const softmax = vi.spyOn(tf, 'softmax');
  forward(engine, [1, 2, 3], cache);
  forward(engine, [1, 2, 3, 4], other);
  expect([engine.name, softmax.mock.calls.length]).toEqual(['graph', 0]);
  const rows = attentionOf(engine, [4], [1], cache);
  expect(softmax.mock.calls.length).toBe(model.config.nLayer);
  expect(rows.row(2, 3, 3).reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 5);
  expectParity(forward(engine, [5], cache), [...forward(engine, [5], other)]);
  expect([engine.name, softmax.mock.calls.length]).toEqual(['graph', model.config.nLayer]);
  softmax.mockRestore();
  cache.dispose();
  other.dispose();
  model.dispose();
});
