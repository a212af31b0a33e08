import { expect, it, vi } from 'vitest';
import { AttentionReader } from '../../src/simd/attention-reader.js';
import { attentionOf, testAttention } from '../support/attention.js';
import { familyDir } from '../support/families.js';
import { open } from '../support/open.js';
import { forward } from '../support/run.js';

testAttention('simd', 2);

it('reads nothing unless a pass asks, and then gives the memory back', async () => {
  const model = await open(familyDir('mistral'), { backend: 'simd', engine: 'auto', tokenizer: async () => null });
  const read = vi.spyOn(AttentionReader.prototype, 'read');
  const ids = Array.from({ length: 150 }, (_, i) => i);
  const whole = attentionOf(model.engine, ids, [150], null);
  const pieces = read.mock.calls.length;
  expect(pieces).toBe(3); // of 64 tokens
  const cache = model.engine.newCache();
  forward(model.engine, ids, cache);
  forward(model.engine, [1], cache);
  expect(read.mock.calls.length).toBe(pieces);
  const parts = attentionOf(model.engine, ids, [100, 50], model.engine.newCache());
  expect(parts.row(1, 3, 149)).toEqual(whole.row(1, 3, 149));
  read.mockRestore();
  model.dispose();
});
