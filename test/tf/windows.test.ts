// Windows and shared keys where the past is longer than one segment: TF.js op by op and recorded against the simd engine.

import { beforeAll, describe, expect, it } from 'vitest';
import type { Model } from '../../src/library/model.js';
import { familyDir } from '../support/families.js';
import { expectParity } from '../support/golden.js';
import { open, useBackend } from '../support/open.js';
import { forward } from '../support/run.js';

const IDS = Array.from({ length: 240 }, (_, i) => (i * 7919 + 13) % 300);

beforeAll(async () => {
  await useBackend('node');
});

describe.each(['mistral-window', 'qwen2-window'])('%s', (name) => {
  const tokenizer = async () => null;
  const opened = (options: object): Promise<Model> => open(familyDir(name), { tokenizer, ...options });

  it.each(['eager', 'graph'] as const)('%s: alone and side by side, behind short and long pasts', async (engine) => {
    const simd = await opened({ backend: 'simd', engine: 'auto' });
    const model = await opened({ engine });
    const exact = (length: number) => simd.logits(IDS.slice(0, length), { cache: false });
    expectParity(model.logits(IDS, { cache: true }), exact(IDS.length));
    const caches = [150, 40, 200].map((length) => {
      const cache = model.engine.newCache();
      cache.expected = IDS.length;
      forward(model.engine, IDS.slice(0, length), cache);
      return cache;
    });
    const batch = model.engine.gather(caches.map((cache) => ({ cache, places: [0] })));
    for (let step = 0; step < 12; step++) {
      const lengths = [...batch.lengths];
      const ids = lengths.map((length) => [IDS[length] as number]);
      const logits = model.engine.forward({ ids, wanted: [0, 1, 2] }, batch).map((values) => values.slice());
      for (const [b, values] of step === 11 ? logits.entries() : []) {
        expectParity(values, exact((lengths[b] as number) + 1));
      }
    }
    for (const cache of [...caches, batch]) {
      cache.dispose();
    }
    expect(exact(IDS.length)).not.toEqual(exact(IDS.length - 1));
    model.dispose();
    simd.dispose();
  });
});
