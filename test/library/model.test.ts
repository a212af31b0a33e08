import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkIds } from '../../src/completion/request.js';
import type { Model } from '../../src/library/model.js';
import { expectFailure } from '../support/errors.js';
import { expectParity } from '../support/golden.js';
import { TINY, writeModel } from '../support/model-folder.js';
import { open, useBackend } from '../support/open.js';
import { tempDirs } from '../support/temp-dir.js';

const tempDir = tempDirs();
let model: Model;

beforeAll(async () => {
  await useBackend('node');
  model = await open(writeModel(tempDir()));
});
afterAll(() => model.dispose());

describe('logits', () => {
  it.each([1, 2, 3, 24])('of %i ids: those behind the last, cached and not', (length) => {
    const ids = Array.from({ length }, (_, i) => (7 * i) % 32);
    const cached = model.logits(ids, { cache: true });
    expect(cached.length).toBe(TINY.vocab_size);
    expectParity(cached, model.logits(ids, { cache: false }));
  });

  it('are the caller’s: a later call does not change them', () => {
    for (const cache of [true, false]) {
      const first = model.logits([1, 2], { cache });
      const copy = first.slice();
      model.logits([3, 4, 5], { cache });
      expect(first).toEqual(copy);
    }
  });
});

describe('ids that a model does not have are refused before TensorFlow sees them', () => {
  it.each([[32], [-1], [1.5], [Number.NaN], [2 ** 31], [2 ** 40], [Number.POSITIVE_INFINITY]])('%d', async (id) => {
    for (const cache of [true, false]) {
      await expectFailure(
        () => model.logits([1, id, 2], { cache }),
        `token id ${id}: expected a whole number from 0 to 31`,
      );
    }
  });

  it('none, and more than there are positions', async () => {
    await expectFailure(() => model.logits([], { cache: true }), 'expected 1 … 24 token ids, found 0');
    const tooMany = new Array(25).fill(1);
    await expectFailure(() => model.logits(tooMany, { cache: false }), 'expected 1 … 24 token ids, found 25');
  });

  it('takes the first and the last', () => {
    expect(() => checkIds([0, 31], model.config)).not.toThrow();
  });
});
