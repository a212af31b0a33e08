// The loop, on an engine that follows a script.

import { describe, expect, it, vi } from 'vitest';
import { generate } from '../../src/generation/generate.js';
import { lastOf, prefillPrompt } from '../../src/generation/prefill.js';
import { type EndedText, Sequence, type SequenceOptions, type SequenceStats } from '../../src/generation/sequence.js';
import { bytesPerPosition } from '../../src/model/config.js';
import { makeSampler } from '../../src/sampling/sampler.js';
import { type MockCache, MockEngine } from '../support/mock-engine.js';
import { greedy, optionsFor, PLAIN, run } from '../support/run.js';

/** After n ids in all comes id 100 + n. */
const counting = (shape = {}) => MockEngine.script((ids) => 100 + ids.length, shape);
const even = (shape = {}) => new MockEngine(() => new Float32Array(256), shape);
const PROMPT = [1, 2, 3];
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

/** Stats that count so many tokens. */
const generated = (generationTokens: number): unknown => expect.objectContaining({ generationTokens });

describe.each([true, false])('the loop, cache %s', (cache) => {
  it('yields maxTokens ids and says length', async () => {
    const engine = counting();
    const { ids, reason, stats } = await run(engine, PROMPT, { cache, maxTokens: 4 });
    expect(ids).toEqual([103, 104, 105, 106]);
    expect(reason).toBe('length');
    expect(stats.generationTokens).toBe(4);
  });

  it('shows the engine the prompt, then each id once, and never the last one', async () => {
    const engine = counting();
    await run(engine, PROMPT, { cache, maxTokens: 4 });
    expect(engine.calls).toEqual(
      cache
        ? [
            { ids: [1, 2, 3], past: [] },
            { ids: [103], past: [1, 2, 3] },
            { ids: [104], past: [1, 2, 3, 103] },
            { ids: [105], past: [1, 2, 3, 103, 104] },
          ]
        : [
            { ids: [1, 2, 3], past: null },
            { ids: [1, 2, 3, 103], past: null },
            { ids: [1, 2, 3, 103, 104], past: null },
            { ids: [1, 2, 3, 103, 104, 105], past: null },
          ],
    );
  });

  it('runs only the prompt for 0 tokens, and asks no sampler', async () => {
    const engine = counting();
    const never = () => {
      throw new Error('sampled');
    };
    const { ids, reason, stats } = await run(engine, PROMPT, { cache, maxTokens: 0 }, never);
    expect([ids, reason, engine.calls.length]).toEqual([[], 'length', 1]);
    expect(stats).toMatchObject({
      generationTokens: 0,
      firstTokenMs: null,
      decodeMs: null,
      numTensors: null,
      cachePositions: cache ? 3 : 0,
    });
    expect(stats.promptMs).toBeGreaterThanOrEqual(0);
  });

  it('goes to the end of the context, with no pass for the last id', async () => {
    const engine = counting({ nPositions: 10 });
    const { ids, reason, stats } = await run(engine, PROMPT, { cache, maxTokens: Number.POSITIVE_INFINITY });
    expect(ids).toEqual(range(103, 110));
    expect(reason).toBe('context');
    expect(engine.calls.length).toBe(7);
    expect(stats.cachePositions).toBe(cache ? 9 : 0);
  });

  it('ends at nCtx where it is smaller than the model’s', async () => {
    const { ids, reason } = await run(counting(), PROMPT, { cache, maxTokens: 99, nCtx: 5 });
    expect([ids, reason]).toEqual([[103, 104], 'context']);
  });

  it('says length where both ends fall together', async () => {
    const { ids, reason } = await run(counting(), PROMPT, { cache, maxTokens: 2, nCtx: 5 });
    expect([ids, reason]).toEqual([[103, 104], 'length']);
  });

  it('writes one token after a prompt of nCtx − 1', async () => {
    const { ids, reason } = await run(counting(), [1, 2, 3, 4], { cache, maxTokens: 9, nCtx: 5 });
    expect([ids, reason]).toEqual([[104], 'context']);
  });

  it('neither yields nor counts a stop id', async () => {
    const engine = counting();
    const { ids, reason, stats } = await run(engine, PROMPT, { cache, maxTokens: 9, stopIds: [7, 105] });
    expect([ids, reason]).toEqual([[103, 104], 'stop']);
    expect([stats.generationTokens, stats.cachePositions]).toEqual([2, cache ? 5 : 0]);
    expect(engine.calls.length).toBe(3);
  });

  it('may stop before the first token', async () => {
    const { ids, reason, stats } = await run(counting(), PROMPT, { cache, stopIds: [103] });
    expect([ids, reason, stats.generationTokens, stats.numTensors]).toEqual([[], 'stop', 0, null]);
  });

  it('takes an end-of-text id like any other when it is told no stop ids', async () => {
    const { ids, reason } = await run(counting(), PROMPT, { cache, maxTokens: 3, stopIds: [] });
    expect([ids, reason]).toEqual([[103, 104, 105], 'length']);
  });

  it('does not stop at an id of the prompt', async () => {
    const { ids } = await run(counting(), [1, 2, 3], { cache, maxTokens: 2, stopIds: [2, 3] });
    expect(ids).toEqual([103, 104]);
  });

  it('gives the sampler all ids so far', async () => {
    const seen: number[][] = [];
    const inner = greedy();
    await run(counting(), PROMPT, { cache, maxTokens: 3 }, (logits, ids) => {
      seen.push([...ids]);
      return inner(logits, ids);
    });
    expect(seen).toEqual([
      [1, 2, 3],
      [1, 2, 3, 103],
      [1, 2, 3, 103, 104],
    ]);
  });

  it('does not write into the prompt', async () => {
    const prompt = Object.freeze([1, 2, 3]);
    expect((await run(counting(), prompt, { cache, maxTokens: 2 })).ids).toEqual([103, 104]);
  });

  describe('seeds', () => {
    const draw = async (seed: number) =>
      (await run(even(), PROMPT, { cache, maxTokens: 20 }, makeSampler(PLAIN, seed))).ids;

    it('reproduce, 0 among them, and differ from each other', async () => {
      expect(await draw(0)).toEqual(await draw(0));
      expect(await draw(5)).toEqual(await draw(5));
      expect(await draw(0)).not.toEqual(await draw(5));
      expect(new Set(await draw(0)).size).toBeGreaterThan(5);
    });

    it('do not matter at temperature 0', async () => {
      const cold = async (seed: number) =>
        (await run(counting(), PROMPT, { cache }, makeSampler({ ...PLAIN, temperature: 0 }, seed))).ids;
      expect(await cold(1)).toEqual(await cold(2));
    });
  });

  describe('abort', () => {
    it('before prefill: nothing is run', async () => {
      const engine = counting();
      const { ids, reason, stats } = await run(engine, PROMPT, { cache, signal: AbortSignal.abort() });
      expect([ids, reason, engine.calls]).toEqual([[], 'abort', []]);
      expect(stats.generationTokens).toBe(0);
    });

    it('by a timer while it decodes: the loop leaves room for it', async () => {
      const controller = new AbortController();
      const slow = new MockEngine(() => {
        const until = performance.now() + 2;
        while (performance.now() < until) {} // as a native call does, this blocks the event loop
        return new Float32Array(256);
      });
      setTimeout(() => controller.abort(), 20);
      const { ids, reason } = await run(slow, PROMPT, {
        cache,
        signal: controller.signal,
        maxTokens: Number.POSITIVE_INFINITY,
      });
      expect(reason).toBe('abort');
      expect(ids.length).toBeLessThan(40);
    });

    it('between two tokens: the next is not run', async () => {
      const controller = new AbortController();
      const engine = counting();
      const options = optionsFor(engine, { cache, signal: controller.signal });
      const tokens = generate(engine, greedy(), PROMPT, options);
      expect(await tokens.next()).toEqual({ done: false, value: { id: 103, stats: generated(1) } });
      expect(await tokens.next()).toEqual({ done: false, value: { id: 104, stats: generated(2) } });
      controller.abort();
      expect(await tokens.next()).toEqual({ done: true, value: { finishReason: 'abort', stats: generated(2) } });
      expect(engine.calls.length).toBe(2);
    });
  });

  it('disposes its cache once, however it ends', async () => {
    const ended = counting();
    await run(ended, PROMPT, { cache });
    const left = counting();
    for await (const _ of generate(left, greedy(), PROMPT, optionsFor(left, { cache }))) {
      break;
    }
    const failed = new MockEngine(() => [Number.NaN]);
    await expect(run(failed, PROMPT, { cache })).rejects.toThrow('NaN at id 0');
    for (const engine of [ended, left, failed]) {
      expect(engine.caches.map(({ disposed }) => disposed)).toEqual(cache ? [1] : []);
    }
  });

  it('measures in order: prefill, first token, decode', async () => {
    const engine = counting();
    const { stats } = await run(engine, PROMPT, { cache, maxTokens: 5 });
    const { promptMs, firstTokenMs, decodeMs, loadMs, cacheBytes, numTensors } = stats as {
      [K in keyof SequenceStats]: NonNullable<SequenceStats[K]>;
    };
    expect(loadMs).toBeGreaterThan(0);
    expect(promptMs).toBeGreaterThanOrEqual(0);
    expect(firstTokenMs).toBeGreaterThanOrEqual(promptMs);
    expect(decodeMs).toBeGreaterThan(0);
    expect(cacheBytes).toBe(cache ? bytesPerPosition(engine.config) * 7 : 0);
    expect(bytesPerPosition(engine.config)).toBe(2 * 12 * 768 * 4);
    expect(numTensors).toEqual([42, 42]);
  });

  it('gives with each id what was measured up to it, which a later one does not change', async () => {
    const engine = counting();
    const found: SequenceStats[] = [];
    const tokens = generate(engine, greedy(), PROMPT, optionsFor(engine, { cache, maxTokens: 4 }));
    let next = await tokens.next();
    for (; next.done !== true; next = await tokens.next()) {
      found.push(next.value.stats);
    }
    expect(found.map(({ generationTokens }) => generationTokens)).toEqual([1, 2, 3, 4]);
    expect(found.map(({ cachePositions }) => cachePositions)).toEqual(cache ? [3, 4, 5, 6] : [0, 0, 0, 0]);
    expect(next.value).toEqual({ finishReason: 'length', stats: found.at(-1) });
  });

  describe('--on-full reprefill', () => {
    /** What the model has before it when it gives each token. */
    const contexts = ({ calls }: MockEngine) => calls.map(({ ids, past }) => [...(past ?? []), ...ids]);

    it('keeps the whole prompt where it is short, and the latest half', async () => {
      const engine = counting();
      const options = { cache, maxTokens: 12, nCtx: 12, onFull: 'reprefill' as const };
      const { ids, reason } = await run(engine, PROMPT, options, (_, all) => 100 + all.length);
      expect([ids, reason]).toEqual([range(103, 115), 'length']);
      expect(contexts(engine)).toEqual([
        [1, 2, 3],
        ...range(104, 112).map((end) => [1, 2, 3, ...range(103, end)]), // up to 11 of 12 ids
        [1, 2, 3, 106, 107, 108, 109, 110, 111], // 12 would be full: min(3, 12/4) and 12/2
        [1, 2, 3, 106, 107, 108, 109, 110, 111, 112],
        [1, 2, 3, 106, 107, 108, 109, 110, 111, 112, 113],
      ]);
    });

    it('keeps nCtx / 4 ids of a long prompt, rounded down', async () => {
      const engine = counting();
      const options = { cache, maxTokens: 3, nCtx: 11, onFull: 'reprefill' as const };
      await run(engine, range(1, 11), options, (_, all) => 100 + all.length);
      expect(contexts(engine)).toEqual([
        range(1, 11),
        [1, 2, 7, 8, 9, 10, 110], // head 2, tail 5
        [1, 2, 7, 8, 9, 10, 110, 111],
      ]);
    });

    it('happens again each time the context is full', async () => {
      const engine = counting();
      const options = { cache, maxTokens: 20, nCtx: 8, onFull: 'reprefill' as const };
      const { ids } = await run(engine, [1, 2], options, (_, all) => 100 + all.length);
      expect(ids).toEqual(range(102, 122));
      const shrunk = contexts(engine).filter((context, i, all) => context.length < (all[i - 1]?.length ?? 0));
      expect(shrunk).toEqual([
        [1, 2, 104, 105, 106, 107],
        [1, 2, 106, 107, 108, 109],
        [1, 2, 108, 109, 110, 111],
        [1, 2, 110, 111, 112, 113],
        [1, 2, 112, 113, 114, 115],
        [1, 2, 114, 115, 116, 117],
        [1, 2, 116, 117, 118, 119],
      ]);
    });

    it('never shows more than nCtx ids, down to a context of two', async () => {
      for (const nCtx of [2, 3, 4, 5, 7]) {
        const engine = counting({ nPositions: nCtx });
        const options = { cache, maxTokens: 9, nCtx, onFull: 'reprefill' as const };
        const { ids } = await run(engine, [1], options, (_, all) => 100 + all.length);
        expect(ids).toEqual(range(101, 110));
        expect(Math.max(...contexts(engine).map(({ length }) => length))).toBeLessThan(nCtx);
      }
    });

    it('starts from an empty cache, in one that is not made anew', async () => {
      const engine = counting();
      await run(engine, PROMPT, { cache, maxTokens: 8, nCtx: 8, onFull: 'reprefill' });
      expect(engine.caches.length).toBe(cache ? 1 : 0);
      const second = engine.calls.filter(({ ids, past }) => cache && ids.length > 1 && past?.length === 0);
      expect(second.length).toBe(cache ? 3 : 0);
    });

    it('may be aborted', async () => {
      const controller = new AbortController();
      const engine = counting();
      const onPrefill = () => {
        if (engine.calls.length > 1) {
          controller.abort();
        }
      };
      const options = { cache, nCtx: 6, onFull: 'reprefill' as const, signal: controller.signal, onPrefill };
      const { ids, reason } = await run(engine, PROMPT, { ...options, maxTokens: 99 }, () => 9);
      expect([ids, reason]).toEqual([[9, 9, 9], 'abort']); // what follows the reprefill is not sampled any more
    });
  });
});

describe('the event loop', () => {
  /** In which of its turns each decode step was run, if a step takes so many milliseconds by the clock. */
  async function turnsOfSteps(milliseconds: number): Promise<number[]> {
    let clock = 0;
    const now = vi.spyOn(performance, 'now').mockImplementation(() => clock);
    let turn = 0;
    let waiting = setImmediate(function count() {
      turn++;
      waiting = setImmediate(count);
    });
    const turns: number[] = [];
    const engine = new MockEngine(() => {
      clock += milliseconds;
      turns.push(turn);
      return new Float32Array(256);
    });
    try {
      await run(engine, PROMPT, { maxTokens: 10 });
    } finally {
      clearImmediate(waiting);
      now.mockRestore();
    }
    const [, ...steps] = turns;
    return steps.map((step) => step - (steps[0] as number));
  }

  it('runs after each step that takes 5 ms', async () => {
    expect(await turnsOfSteps(5)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('runs once in 5 ms of shorter steps', async () => {
    expect(await turnsOfSteps(2)).toEqual([0, 0, 1, 1, 1, 2, 2, 2, 3]);
    expect(await turnsOfSteps(0.4)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0]);
  });
});

it('generations that share an engine do not see each other’s logits', async () => {
  const engine = MockEngine.script((ids) => 10 * (ids[0] as number) + ids.length);
  const both = [1, 2].map((first) => generate(engine, greedy(), [first], optionsFor(engine, { maxTokens: 6 })));
  const ids: (number | undefined)[][] = [];
  for (let n = 0; n < 6; n++) {
    const found = await Promise.all(both.map((tokens) => tokens.next()));
    ids.push(found.map(({ done, value }) => (done ? undefined : value.id)));
  }
  expect(ids).toEqual(range(11, 17).map((id) => [id, id + 10]));
});

describe('at its end the prompt cache is given', () => {
  const texts = async (engine: MockEngine, options: Partial<SequenceOptions>) => {
    const found: Omit<EndedText, 'stats'>[] = [];
    const keepText = ({ ids, cache, promptTokens, stats }: EndedText) => {
      found.push({ ids, cache, promptTokens });
      expect((cache as MockCache).ids).toEqual(ids);
      expect(stats.cachePositions).toBe(ids.length);
    };
    const promptCache = { restore: () => null, keep: () => {}, keepText };
    const { ids, reason } = await run(engine, PROMPT, { promptCache, ...options });
    return { ids, reason, found: found.map(({ ids, promptTokens }) => [promptTokens, ids]) };
  };
  const aborting = () => {
    const controller = new AbortController();
    const engine = MockEngine.script((ids) => {
      ids.length === 6 && controller.abort();
      return 100 + ids.length;
    });
    return [engine, { signal: controller.signal }] as const;
  };

  it.each<[string, number, MockEngine, Partial<SequenceOptions>]>([
    ['length', 5, counting(), { maxTokens: 3 }],
    ['context', 7, counting({ nPositions: 8 }), { maxTokens: 99 }],
    ['stop', 5, counting(), { stopIds: [105] }],
    ['abort', 6, ...aborting()],
  ])('the prompt and what was run behind it: %s', async (reason, positions, engine, options) => {
    const ran = await texts(engine, options);
    expect(ran).toMatchObject({ reason, found: [[3, [...PROMPT, ...range(103, 100 + positions)]]] });
    expect(engine.caches[0]?.disposed).toBe(1);
  });

  it('what a stop string then takes back, too', async () => {
    let asked = 0;
    const { ids, found } = await texts(counting(), { isStopped: () => ++asked === 3 });
    expect([ids, found]).toEqual([[103, 104, 105], [[3, [...PROMPT, 103, 104]]]]);
  });

  it.each<[string, MockEngine, Partial<SequenceOptions>]>([
    ['that is all of the prompt', counting(), { maxTokens: 1 }],
    ['there is no cache', counting(), { cache: false }],
    ['the sequence was shortened, so that its positions are others', counting(), { nCtx: 8, onFull: 'reprefill' }],
  ])('nothing where %s', async (_, engine, options) => {
    expect((await texts(engine, { maxTokens: 12, ...options })).found).toEqual([]);
  });
});

describe('prefill', () => {
  it('gives logits that a later pass does not change', async () => {
    const engine = counting();
    const { cache, logits } = await prefillPrompt(engine, new Sequence(engine.config, PROMPT, optionsFor(engine, {})));
    engine.forward(lastOf([9]), cache);
    expect(logits?.indexOf(100)).toBe(103);
  });

  const LONG = { nPositions: 1024 };
  const prompt = Array.from({ length: 600 }, (_, i) => i % 50);

  it('goes in chunks of 256 with the cache, each after those before it', async () => {
    const engine = even(LONG);
    const steps: [number, number][] = [];
    await run(engine, prompt, { maxTokens: 0, onPrefill: (done, total) => steps.push([done, total]) });
    expect(engine.calls.map(({ ids, past }) => [past?.length, ids.length])).toEqual([
      [0, 256],
      [256, 256],
      [512, 88],
    ]);
    expect(engine.calls.flatMap(({ ids }) => ids)).toEqual(prompt);
    expect(steps).toEqual([
      [256, 600],
      [512, 600],
      [600, 600],
    ]);
  });

  it('is one pass without', async () => {
    const engine = even(LONG);
    await run(engine, prompt, { maxTokens: 0, cache: false });
    expect(engine.calls).toEqual([{ ids: prompt, past: null }]);
  });

  it('stops between two chunks when it is aborted', async () => {
    const engine = even(LONG);
    const controller = new AbortController();
    const { reason, stats } = await run(engine, prompt, {
      signal: controller.signal,
      onPrefill: (done) => done === 512 && controller.abort(),
    });
    expect([reason, engine.calls.length, stats.cachePositions]).toEqual(['abort', 2, 512]);
    expect(engine.caches[0]?.disposed).toBe(1);
  });

  it('notices an abort by a timer between two chunks', async () => {
    const controller = new AbortController();
    const engine = new MockEngine(() => {
      const until = performance.now() + 15;
      while (performance.now() < until) {}
      return new Float32Array(256);
    }, LONG);
    setTimeout(() => controller.abort(), 5);
    const { reason } = await run(engine, prompt, { signal: controller.signal });
    expect(reason).toBe('abort');
    expect(engine.calls.length).toBeLessThan(3);
  });
});

it('sends a broken engine’s error on', async () => {
  const engine = new MockEngine(() => {
    throw new Error('out of memory');
  });
  await expect(run(engine, PROMPT)).rejects.toThrow('out of memory');
  expect(engine.caches[0]?.disposed).toBe(1);
});
