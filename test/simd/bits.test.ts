// The promise of the WebAssembly engine: the same bits, however the tokens come to it. Each way of running a sequence is
// compared with one whole pass on one thread, logit by logit, bit by bit, in float32 and in int8.

import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { WeightsName } from '../../src/backends.js';
import type { Engine } from '../../src/engine/engine.js';
import type { KvCache } from '../../src/engine/kv-cache.js';
import { sliceRows } from '../../src/engine/kv-rows.js';
import { loadModel, type Model, openModel, randomSource } from '../../src/library/model.js';
import { familyDir } from '../support/families.js';
import { randomize, TINY, writeModel } from '../support/model-folder.js';
import { open as openFolder } from '../support/open.js';
import { tempDirs } from '../support/temp-dir.js';

/** Longer than what runs together and than several blocks, and no multiple of either. */
const LENGTH = 139;
/** No width is a multiple of four. */
const ODD = { ...TINY, n_embd: 30, n_head: 5, n_positions: 160, vocab_size: 101 };
const FAMILIES = [
  'llama-headdim',
  'llama-v5-config',
  'qwen3',
  'qwen2-window',
  'gpt-neox',
  'gpt-neo-local',
  'qwen3-headdim-14',
];
const MODELS = ['stories', 'odd', 'random:2x96', ...FAMILIES];
const FORMS: readonly WeightsName[] = ['float32', 'int8'];

const tempDir = tempDirs();

describe.each(MODELS.flatMap((name) => FORMS.map((weights) => ({ name, weights }))))(
  '$name, $weights',
  ({ name, weights }) => {
    let one: Model;
    let several: Model;
    let ids: readonly number[];
    /** Of one whole pass: the bits of the logits behind each id. */
    let whole: readonly string[];

    beforeAll(async () => {
      one = await open(name, weights, 1);
      several = await open(name, weights, Math.min(3, availableParallelism()));
      const { vocabSize, nPositions } = one.config;
      ids = Array.from({ length: Math.min(LENGTH, nPositions) }, (_, i) => (i * 7919 + 13) % vocabSize);
      whole = run(one.engine, ids, null);
    });
    afterAll(() => {
      one.dispose();
      several.dispose();
    });

    it('cached or not', () => {
      expect(inChunks(one.engine, ids, ids.length)).toEqual(whole);
    });

    it.each([1, 2, 17, 32, 63, 64, 65])('in chunks of %i', (size) => {
      expect(inChunks(one.engine, ids, size)).toEqual(whole);
    });

    it('on several threads, whole and in chunks', () => {
      expect(run(several.engine, ids, null)).toEqual(whole);
      expect(inChunks(several.engine, ids, 1)).toEqual(whole);
      expect(inChunks(several.engine, ids, 17)).toEqual(whole);
    });

    it('among other sequences, of other lengths', () => {
      const { engine } = several;
      const starts = [5, 40, 0, 17].map((length) => filled(engine, ids.slice(0, length)));
      const others = filled(engine, [...ids].reverse().slice(0, 70));
      const sources = [starts[0], others, starts[1], starts[3]].map((cache) => ({
        cache: cache as KvCache,
        places: [0],
      }));
      const batch = engine.gather(sources);
      for (let step = 0; step < 24; step++) {
        const next = batch.lengths.map((length, b) => [b === 1 ? step : (ids[length] as number)]);
        const lengths = [...batch.lengths];
        const logits = engine.forward({ ids: next, wanted: next.map((_, b) => b) }, batch).map(bits);
        for (const b of [0, 2, 3]) {
          expect(logits[b]).toBe(whole[lengths[b] as number]);
        }
      }
      for (const cache of [...starts, others, batch]) {
        cache.dispose();
      }
    });

    it('in one pass over several ids of some sequences and one of others, of which some are taken back', () => {
      const { engine } = several;
      const starts = [5, 90, 30].map((length) => filled(engine, ids.slice(0, length)));
      const batch = engine.gather(starts.map((cache) => ({ cache, places: [0] })));
      for (let step = 0; step < 6; step++) {
        const counts = [1 + ((5 * step) % 4), 1, 1 + ((3 * step) % 7)];
        const next = batch.lengths.map((length, b) => ids.slice(length, length + (counts[b] as number)));
        const expected = batch.lengths.flatMap((length, b) => whole.slice(length, length + (counts[b] as number)));
        const wanted = expected.map((_, i) => i);
        const kept = batch.lengths.map(
          (length, b) => length + 1 + Math.floor((counts[b] as number) / 2) - (counts[b] === 1 ? 0 : 1),
        );
        expect(engine.forward({ ids: next, wanted }, batch).map(bits)).toEqual(expected);
        batch.truncateEach(kept);
      }
      for (const cache of [...starts, batch]) {
        cache.dispose();
      }
    });

    it('after what came behind was taken back, and in a fork', () => {
      const { engine } = one;
      const cache = filled(engine, ids);
      const fork = cache.fork();
      cache.truncate(33);
      run(engine, [...ids].reverse().slice(0, 50), cache); // other keys where the old ones were
      cache.truncate(33);
      expect(run(engine, ids.slice(33), cache)).toEqual(whole.slice(33));
      fork.truncate(50);
      expect(run(engine, ids.slice(50), fork)).toEqual(whole.slice(50));
      cache.dispose();
      fork.dispose();
    });

    it('with keys and values that were kept outside', () => {
      const { engine } = several;
      const cache = filled(engine, ids);
      const rows = sliceRows(cache.export(0, 90), 0, 77);
      cache.dispose();
      const restored = one.engine.newCache(rows);
      expect(run(one.engine, ids.slice(77), restored)).toEqual(whole.slice(77));
      restored.dispose();
    });
  },
);

function open(name: string, weights: WeightsName, threads: number): Promise<Model> {
  const random = randomSource(name, 5);
  const options = { backend: 'simd', weights, threads } as const;
  if (FAMILIES.includes(name)) {
    return openFolder(familyDir(name), { ...options, engine: 'auto', tokenizer: async () => null });
  }
  const model = name === 'odd' ? writeModel(tempDir(), { config: ODD, tensors: randomize(ODD) }) : name;
  return random === undefined ? loadModel(model, options) : openModel(random, options);
}

function filled(engine: Engine, ids: readonly number[]): KvCache {
  const cache = engine.newCache();
  if (ids.length > 0) {
    run(engine, ids, cache);
  }
  return cache;
}

function inChunks(engine: Engine, ids: readonly number[], size: number): string[] {
  const cache = engine.newCache();
  const found: string[] = [];
  for (let start = 0; start < ids.length; start += size) {
    found.push(...run(engine, ids.slice(start, start + size), cache));
  }
  cache.dispose();
  return found;
}

/** The bits of the logits behind each id. */
function run(engine: Engine, ids: readonly number[], cache: KvCache | null): string[] {
  return engine.forward({ ids: [ids], wanted: ids.map((_, t) => t) }, cache).map(bits);
}

/** A short text for many numbers, different for different bits. */
function bits(logits: Float32Array): string {
  return createHash('sha256')
    .update(new Uint8Array(logits.buffer, logits.byteOffset, logits.byteLength))
    .digest('hex');
}
