// What 8-bit weights cost: within stated bounds on the golden models, and next to nothing on text.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { WeightsName } from '../../src/backends.js';
import { slidingWindows, windowLoss } from '../../src/generation/score.js';
import { loadModel } from '../../src/library/model.js';
import type { Tokenizer } from '../../src/text/tokenizer.js';
import { familyDir, familyNames, goldenPrompts } from '../support/families.js';
import { distance, goldenDir, goldenNames, readGolden } from '../support/golden.js';
import { open } from '../support/open.js';

/** Of the largest logit. Their weights are random and wide, and their layers narrow: the worst case. */
const GOLDEN_BOUND = 0.06;
/** Nats a token. */
const LOSS_BOUND = 0.002;

describe('int8 weights', () => {
  it.each(goldenNames())('%s: logits near those of Hugging Face, and not the same', async (name) => {
    const golden = readGolden(name);
    const model = await open(goldenDir(name), { backend: 'simd', engine: 'auto', weights: 'int8' });
    const far = distance(model.logits(golden.prompt_ids, { cache: true }), golden.logits_last);
    expect(far).toBeLessThanOrEqual(GOLDEN_BOUND);
    expect(far).toBeGreaterThan(1e-4);
    expect(
      distance(model.logits(golden.prompt_ids.slice(0, 1), { cache: true }), golden.logits_first),
    ).toBeLessThanOrEqual(GOLDEN_BOUND);
    model.dispose();
  });

  it.each(familyNames())('%s: logits near those of Hugging Face, and not the same', async (name) => {
    const tokenizer = async () => null;
    const model = await open(familyDir(name), { backend: 'simd', engine: 'auto', weights: 'int8', tokenizer });
    for (const { ids, logits_last } of goldenPrompts(name)) {
      const far = distance(model.logits(ids, { cache: true }), logits_last);
      expect(far).toBeLessThanOrEqual(GOLDEN_BOUND);
      expect(far).toBeGreaterThan(1e-4);
    }
    model.dispose();
  });

  it('stories: the loss on stories that it has not seen is that of float32', async () => {
    const [float32, int8] = [await lossOf('float32'), await lossOf('int8')];
    expect(Math.abs(int8 - float32)).toBeLessThanOrEqual(LOSS_BOUND);
    expect(int8).not.toBe(float32);
    expect(float32).toBeGreaterThan(1);
  });
});

/** Nats a token of texts that were written for the recipe's example, each in the context of an end-of-text token. */
async function lossOf(weights: WeightsName): Promise<number> {
  const model = await loadModel('stories', { backend: 'simd', weights });
  const tokenizer = model.tokenizer as Tokenizer;
  const { eosId = 0 } = tokenizer;
  const path = fileURLToPath(new URL('../../models/stories/train/example.txt', import.meta.url));
  const texts = readFileSync(path, 'utf8')
    .split('<|endoftext|>')
    .map((text) => text.trim());
  let nats = 0;
  let tokens = 0;
  for (const text of texts.filter((text) => text !== '')) {
    const ids = [eosId, ...(await tokenizer.encode(text)), eosId];
    for (const window of slidingWindows(ids, model.config.nPositions, 256)) {
      nats += await windowLoss(model.engine, window);
      tokens += window.scored;
    }
  }
  model.dispose();
  return nats / tokens;
}
