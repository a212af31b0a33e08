import { describe, expect, it } from 'vitest';
import { ModelFolder } from '../../src/files/model-folder.js';
import { Detokenizer } from '../../src/text/detokenizer.js';
import { loadTokenizer } from '../../src/text/tokenizer.js';
import { distance, expectParity, goldenDir, goldenNames, readGolden } from '../support/golden.js';
import { open } from '../support/open.js';
import { expectGreedy, testParity } from '../support/parity.js';
import { greedy, run } from '../support/run.js';

testParity('node', goldenNames());

describe('the comparison itself', () => {
  it('is max |a − b| / max |b|', () => {
    expect(distance([1, 2, 4], [1, 3, 4])).toBe(0.25);
    expect(distance([1, Number.NaN], [1, 2])).toBe(Number.POSITIVE_INFINITY);
    expect(distance([1], [1, 2])).toBe(Number.POSITIVE_INFINITY);
  });

  it('sees every folder', () => {
    expect(goldenNames().length).toBeGreaterThanOrEqual(28);
  });
});

describe('what some golden folders show alone', () => {
  it.each(['eos-list', 'eos-config', 'eos-precedence'])('%s: stops where model.generate does', async (name) => {
    const golden = readGolden(name);
    const expected = golden.generate_ids as number[];
    const model = await open(goldenDir(name));
    const { eosTokenIds } = model.engine.config;
    for (const cache of [true, false]) {
      const { ids, reason } = await run(model.engine, golden.prompt_ids, {
        maxTokens: golden.greedy.length,
        stopIds: eosTokenIds,
        cache,
      });
      expect(ids).toEqual(expected.slice(0, -1));
      expect(reason).toBe('stop');
    }
    expect(eosTokenIds).toContain(expected.at(-1));
    const ignored = await run(model.engine, golden.prompt_ids, { maxTokens: expected.length, stopIds: [] });
    expect(ignored.ids).toEqual(expected);
    model.dispose();
  });

  it('padded-vocab: ids without a token are never generated, and the text is the tokenizer’s', async () => {
    const golden = readGolden('padded-vocab');
    const masked = golden.greedy_masked ?? [];
    const tokenizer = await loadTokenizer(new ModelFolder(goldenDir('padded-vocab')));
    const model = await open(goldenDir('padded-vocab'));
    const { vocabSize } = model.engine.config;
    const banned = Array.from({ length: vocabSize }, (_, id) => id).filter((id) => !tokenizer.has(id));
    expect(banned).toEqual(Array.from({ length: 28 }, (_, i) => 260 + i));
    expect(golden.greedy.some(({ id }) => id >= 260)).toBe(true);
    for (const cache of [true, false]) {
      await expectGreedy(model, golden, masked, cache, greedy(banned));
    }
    const detokenizer = new Detokenizer(tokenizer);
    expect(masked.map(({ id }) => detokenizer.add(id)).join('') + detokenizer.finish()).toBe(golden.text_masked);
    model.dispose();
  });

  it('one-head: goes up to the full context, and the logits behind the last id are right', async () => {
    const golden = readGolden('one-head');
    const model = await open(goldenDir('one-head'));
    const { nPositions } = model.engine.config;
    for (const cache of [true, false]) {
      const { ids, reason } = await run(model.engine, golden.prompt_ids, {
        maxTokens: Number.POSITIVE_INFINITY,
        cache,
      });
      expect(reason).toBe('context');
      expect(golden.prompt_ids.length + ids.length).toBe(nPositions);
      expect(ids).toEqual(golden.greedy.map(({ id }) => id));
      expectParity(model.logits([...golden.prompt_ids, ...ids], { cache }), golden.logits_full as number[]);
    }
    model.dispose();
  });
});
