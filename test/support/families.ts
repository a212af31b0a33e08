// The golden folders of the other architectures (test/fixtures/families/README.md): a model each, and what Hugging Face computes from
// it. The same tests on every engine.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BackendName } from '../../src/backends.js';
import type { Engine } from '../../src/engine/engine.js';
import type { Model } from '../../src/library/model.js';
import { logprobOf } from '../../src/sampling/logprobs.js';
import type { Sampler } from '../../src/sampling/sampler.js';
import { expectParity } from './golden.js';
import { open, useBackend } from './open.js';
import { forward, greedy, run } from './run.js';

const FAMILIES = fileURLToPath(new URL('../fixtures/families', import.meta.url));

export interface GoldenPrompt {
  readonly ids: readonly number[];
  readonly logits_last: readonly number[];
  readonly prompt_logprobs: readonly number[];
  readonly greedy_ids: readonly number[];
  readonly greedy_logprobs: readonly number[];
}

export function familyDir(name: string): string {
  return join(FAMILIES, name);
}

export function familyNames(): string[] {
  return readdirSync(FAMILIES, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
}

export function goldenPrompts(name: string): readonly GoldenPrompt[] {
  return JSON.parse(readFileSync(join(familyDir(name), 'golden.json'), 'utf8')).prompts;
}

/** On one engine, with a cache and, where the same engine runs without one, without. */
export function testFamilies(
  backend: BackendName,
  engine: 'eager' | 'graph' | 'simd',
  names: readonly string[] = familyNames(),
): void {
  beforeAll(async () => {
    if (backend !== 'simd') {
      expect((await useBackend(backend)).name).toBe(backend);
    }
  });
  const caches = engine === 'graph' ? [true] : [true, false];
  describe.each(names)(`${backend}, ${engine}: %s`, (name) => {
    let model: Model;
    beforeAll(async () => {
      const onNote = (line: string) => expect.unreachable(line);
      const tokenizer = async () => null;
      const choice = engine === 'simd' ? 'auto' : engine;
      model = await open(familyDir(name), { backend, engine: choice, onNote, tokenizer });
    });
    afterAll(() => model.dispose());

    it.each(caches)('prompts: logits, log-probabilities token by token, greedy ids, cache %s', async (cache) => {
      const prompts = goldenPrompts(name);
      expect(prompts.length).toBeGreaterThan(1);
      for (const golden of prompts) {
        expectParity(model.logits(golden.ids, { cache }), golden.logits_last);
        expectParity((cache ? cachedLogprobs : allLogprobs)(model.engine, golden.ids), golden.prompt_logprobs);
        await expectGreedy(model.engine, golden, cache);
      }
      if (cache) {
        expect(model.engine.name).toBe(engine);
      }
    });

    it('keeps no tensor', async () => {
      const { engine } = model;
      const before = engine.numTensors();
      for (const cache of caches) {
        await run(engine, [...(goldenPrompts(name)[0] as GoldenPrompt).ids], { maxTokens: 4, cache });
      }
      expect(engine.numTensors()).toBe(before);
    });

    it('runs sequences of different lengths side by side as each alone', () => {
      const [first, second] = goldenPrompts(name).map(({ ids }) => ids.slice(0, -1)) as [number[], number[]];
      const { engine } = model;
      const caches = [first, second, first].map((ids) => {
        const cache = engine.newCache();
        forward(engine, ids, cache);
        return cache;
      });
      const batch = engine.gather(caches.map((cache) => ({ cache, places: [0] })));
      const steps = goldenPrompts(name).map(({ ids }) => [ids.at(-1) as number]);
      const ids = [steps[0], steps[1], steps[0]] as number[][];
      const logits = engine.forward({ ids, wanted: [0, 1, 2] }, batch).map((values) => values.slice());
      for (const [b, values] of logits.entries()) {
        expectParity(values, goldenPrompts(name)[b % 2]?.logits_last ?? []);
      }
      for (const cache of [...caches, batch]) {
        cache.dispose();
      }
    });
  });
}

async function expectGreedy(engine: Engine, golden: GoldenPrompt, cache: boolean): Promise<void> {
  const sampler = greedy();
  const logprobs: number[] = [];
  const recording: Sampler = (logits, ids) => {
    const id = sampler(logits, ids);
    logprobs.push(logprobOf(logits, id));
    return id;
  };
  const { ids } = await run(engine, [...golden.ids], { maxTokens: golden.greedy_ids.length, cache }, recording);
  expect(ids).toEqual(golden.greedy_ids);
  expectParity(logprobs, golden.greedy_logprobs);
}

function cachedLogprobs(engine: Engine, ids: readonly number[]): number[] {
  const cache = engine.newCache();
  try {
    return ids.slice(0, -1).map((id, i) => logprobOf(forward(engine, [id], cache), ids[i + 1] as number));
  } finally {
    cache.dispose();
  }
}

/** All of one pass. */
function allLogprobs(engine: Engine, ids: readonly number[]): number[] {
  const wanted = ids.slice(0, -1).map((_, i) => i);
  const logits = engine.forward({ ids: [ids], wanted }, null);
  return wanted.map((i) => logprobOf(logits[i] as Float32Array, ids[i + 1] as number));
}
