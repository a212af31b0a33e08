// Drafts in the loop, on an engine that follows a script and with drafters that are right or wrong on purpose: the ids are
// the same as without, and so is everything but the number of passes.

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DraftedText, Drafter, DraftOptions } from '../../src/generation/drafts.js';
import { generate } from '../../src/generation/generate.js';
import { PromptLookup } from '../../src/generation/prompt-lookup.js';
import type { EndedText, SequenceOptions } from '../../src/generation/sequence.js';
import { makeSampler, type Sampler } from '../../src/sampling/sampler.js';
import { MockEngine } from '../support/mock-engine.js';
import { greedy, optionsFor, PLAIN, run } from '../support/run.js';

/** After n ids in all comes id 100 + n. */
const counting = (shape = {}) => MockEngine.script((ids) => 100 + ids.length, shape);
const PROMPT = [1, 2, 3];
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

/** Guesses `idAt(n)` for the id behind n others. */
function guessing(idAt: (n: number) => number, most = 4, chance = 0.95): DraftOptions {
  const guess = ({ ids }: DraftedText, count: number) => ({
    ids: range(ids.length, ids.length + count).map(idAt),
    kinds: Array<number>(count).fill(0),
  });
  return { most, drafter: () => ({ chances: [chance], share: 0, guess, dispose: () => {} }) };
}
const RIGHT = guessing((n) => 100 + n);
const WRONG = guessing(() => 7);
const lookup = (most: number): DraftOptions => ({ most, drafter: () => new PromptLookup() });

/** Runs it, and gives what the prompt cache is given at the end: what the cache holds then. */
async function ran(engine: MockEngine, options: Partial<SequenceOptions>, sampler: Sampler = greedy()) {
  const kept: (readonly number[])[] = [];
  const keepText = ({ cache }: EndedText) => void kept.push([...((cache as { ids?: number[] }).ids as number[])]);
  const promptCache = { restore: () => null, keep: () => {}, keepText };
  const { ids, reason, stats } = await run(engine, PROMPT, { promptCache, ...options }, sampler);
  const { generationTokens, cachePositions, cacheBytes, numTensors, drafts } = stats;
  return { ids, reason, stats: { generationTokens, cachePositions, cacheBytes, numTensors }, kept, drafts };
}

describe('a draft that is right', () => {
  it('is run with the newest id in one pass, and then the next behind it', async () => {
    const engine = counting();
    const { ids, drafts } = await ran(engine, { maxTokens: 12, draft: RIGHT });
    expect(ids).toEqual(range(103, 115));
    expect(engine.calls.map((call) => call.ids)).toEqual([
      PROMPT,
      range(103, 108), // the first is known, four are guessed
      range(108, 113),
      [113],
    ]);
    expect(drafts).toEqual({ drafted: 8, accepted: 8, passes: 3 });
  });

  it('asks the sampler once for each id, with the logits and the ids that it has without', async () => {
    const seen = async (draft?: DraftOptions) => {
      const calls: [number, number[]][] = [];
      const inner = greedy();
      const sampler: Sampler = (logits, ids) => {
        calls.push([logits.indexOf(100), [...ids]]);
        return inner(logits, ids);
      };
      await ran(counting(), { maxTokens: 9, draft }, sampler);
      return calls;
    };
    expect(await seen(RIGHT)).toEqual(await seen());
  });

  it.each<[string, Partial<SequenceOptions>, string, number]>([
    ['maxTokens', { maxTokens: 7 }, 'length', 7],
    ['the end of the context', { maxTokens: 99, nCtx: 10 }, 'context', 7],
    ['a stop id', { maxTokens: 99, stopIds: [107] }, 'stop', 4],
  ])('ends at %s, and the cache holds no more than without', async (_, options, reason, tokens) => {
    for (const most of [1, 2, 3, 4, 5, 64]) {
      const drafted = await ran(counting(), { ...options, draft: guessing((n) => 100 + n, most) });
      const { drafts: __, ...plain } = await ran(counting(), options);
      expect(drafted).toMatchObject({ ...plain, reason, ids: range(103, 103 + tokens) });
      expect(drafted.kept[0]?.length).toBe(drafted.stats.cachePositions);
    }
  });

  it('never runs an id that could not follow', async () => {
    const engine = counting({ nPositions: 12 }); // it throws beyond
    await ran(engine, { maxTokens: 99, draft: guessing((n) => 100 + n, 64) });
    expect(engine.calls.map((call) => call.ids.length)).toEqual([3, 8]);
    const short = counting();
    await ran(short, { maxTokens: 4, draft: guessing((n) => 100 + n, 64) });
    expect(short.calls.map((call) => call.ids.length)).toEqual([3, 3]);
  });

  it('ends where a stop string does, within it', async () => {
    for (const at of [1, 2, 3, 4, 5, 6, 7]) {
      const stopping = () => {
        let asked = 0;
        return { maxTokens: 20, isStopped: () => ++asked === at };
      };
      const { drafts, ...drafted } = await ran(counting(), { ...stopping(), draft: RIGHT });
      const { drafts: none, ...plain } = await ran(counting(), stopping());
      expect(drafted).toEqual(plain);
      expect([drafted.ids.length, drafts?.passes, none]).toEqual([at, Math.ceil((at - 1) / 5), null]);
    }
  });

  it('ends where it is aborted, within it', async () => {
    const controller = new AbortController();
    const engine = counting();
    const options = optionsFor(engine, { maxTokens: 20, draft: RIGHT, signal: controller.signal });
    const tokens = generate(engine, greedy(), PROMPT, options);
    for (const id of range(103, 106)) {
      expect(await tokens.next()).toMatchObject({ value: { id } });
    }
    controller.abort();
    expect(await tokens.next()).toMatchObject({
      done: true,
      value: { finishReason: 'abort', stats: { generationTokens: 3, cachePositions: 5 } },
    });
    expect(engine.caches[0]?.disposed).toBe(1);
  });

  it('says with each id what was measured up to it, as without', async () => {
    const positions = async (draft?: DraftOptions) => {
      const engine = counting();
      const found: unknown[] = [];
      for await (const { id, stats } of generate(
        engine,
        greedy(),
        PROMPT,
        optionsFor(engine, { maxTokens: 9, draft }),
      )) {
        found.push([id, stats.generationTokens, stats.cachePositions, stats.cacheBytes, stats.numTensors]);
      }
      return found;
    };
    expect(await positions(RIGHT)).toEqual(await positions());
  });

  it.each([6, 7, 8, 9, 12])('goes on past the end of a context of %i', async (nCtx) => {
    const options = { maxTokens: 30, nCtx, onFull: 'reprefill' as const };
    const sampler: Sampler = (_, ids) => 100 + ids.length;
    const drafted = counting();
    const plain = counting();
    const a = await ran(drafted, { ...options, draft: guessing((n) => 100 + n, 3) }, sampler);
    const b = await ran(plain, options, sampler);
    expect({ ...a, drafts: null }).toEqual(b);
    expect(a.ids).toEqual(range(103, 133));
    expect(drafted.calls.length).toBeLessThan(plain.calls.length);
  });
});

describe('a draft that is wrong', () => {
  it('leaves the cache before the next pass', async () => {
    const engine = counting();
    const { ids, drafts, kept } = await ran(engine, { maxTokens: 4, draft: guessing(() => 7, 2) });
    expect(ids).toEqual(range(103, 107));
    expect(engine.calls).toEqual([
      { ids: PROMPT, past: [] },
      { ids: [103, 7, 7], past: PROMPT },
      { ids: [104, 7], past: [...PROMPT, 103] }, // two more tokens are wanted: a guess and the one behind it
      { ids: [105], past: [...PROMPT, 103, 104] },
    ]);
    expect(drafts).toEqual({ drafted: 3, accepted: 0, passes: 3 });
    expect(kept).toEqual([[...PROMPT, 103, 104, 105]]);
  });

  it('from its second id on gives what was right', async () => {
    const engine = counting();
    const { ids, drafts } = await ran(engine, { maxTokens: 8, draft: guessing((n) => (n % 4 === 1 ? 7 : 100 + n), 3) });
    expect(ids).toEqual(range(103, 111));
    expect(engine.calls.slice(1, 3)).toEqual([
      { ids: [103, 104, 7, 106], past: PROMPT },
      { ids: [105, 106, 107, 108], past: [...PROMPT, 103, 104] },
    ]);
    expect(drafts?.accepted).toBeGreaterThan(3);
  });

  it('again and again is made no longer', async () => {
    const engine = counting({ nPositions: 400 });
    const { drafts } = await ran(engine, { maxTokens: 300, draft: WRONG }, (_, ids) => 100 + (ids.length % 100));
    expect(drafts?.passes).toBe(299);
    expect(drafts?.drafted).toBeLessThan(80);
    expect(engine.calls.slice(50).every((call) => call.ids.length === 1)).toBe(true);
  });

  it('is made again when it would have been right', async () => {
    const engine = counting({ nPositions: 800 });
    const draft = guessing((n) => (n < 300 ? 7 : n % 250));
    const { drafts } = await ran(engine, { maxTokens: 600, draft }, (_, ids) => ids.length % 250);
    expect(drafts?.accepted).toBeGreaterThan(200);
    expect(drafts?.passes).toBeLessThan(400);
  });
});

describe('a drafter that costs something', () => {
  const costly = (share: number, idAt: (n: number) => number): [DraftOptions, number[]] => {
    const asked: number[] = [];
    const { drafter } = guessing(idAt);
    const guess: Drafter['guess'] = (text, most) => {
      asked.push(most);
      return drafter().guess(text, most);
    };
    return [{ most: 4, drafter: () => ({ chances: [0.8], share, guess, dispose: () => {} }) }, asked];
  };

  it('is asked for two at first, then for as many as pay', async () => {
    for (const [share, counts] of [
      [0.01, [2, 3]],
      [0.3, [2, 1]],
    ] as const) {
      const [draft, asked] = costly(share, (n) => 100 + n);
      await ran(counting(), { maxTokens: 9, draft });
      expect(asked.slice(0, 2)).toEqual(counts);
    }
  });

  it('and would not pay if all were right is asked once', async () => {
    const [draft, asked] = costly(1, (n) => 100 + n);
    const engine = counting({ nPositions: 400 });
    const { drafts } = await ran(engine, { maxTokens: 300, draft }, (_, ids) => 100 + (ids.length % 100));
    expect([asked, drafts]).toEqual([[2], { drafted: 2, accepted: 2, passes: 297 }]);
  });

  it('is asked again now and then, ever less often, where it does not pay', async () => {
    const [useless, asked] = costly(0.1, () => 7);
    const engine = counting({ nPositions: 800 });
    const { drafts } = await ran(engine, { maxTokens: 600, draft: useless }, (_, ids) => 100 + (ids.length % 100));
    expect(drafts?.passes).toBe(599);
    expect(asked.length).toBeGreaterThan(30);
    expect(asked.length).toBeLessThan(80);
  });

  it('is asked on and on where it is right again', async () => {
    const [late, asked] = costly(0.1, (n) => (n < 200 ? 7 : 100 + (n % 100)));
    const engine = counting({ nPositions: 800 });
    const { drafts } = await ran(engine, { maxTokens: 600, draft: late }, (_, ids) => 100 + (ids.length % 100));
    expect(asked.length).toBeGreaterThan(80);
    expect(drafts?.accepted).toBeGreaterThan(200);
  });
});

it('a drafter is disposed with its sequence, however it ends', async () => {
  let open = 0;
  const draft: DraftOptions = {
    most: 4,
    drafter: () => {
      open++;
      return { ...RIGHT.drafter(), dispose: () => void open-- };
    },
  };
  await ran(counting(), { draft });
  const engine = counting();
  for await (const _ of generate(engine, greedy(), PROMPT, optionsFor(engine, { draft }))) {
    break;
  }
  await expect(run(new MockEngine(() => [Number.NaN]), PROMPT, { draft })).rejects.toThrow('NaN at id 0');
  expect(open).toBe(0);
});

it('is not made without a cache', async () => {
  const engine = counting();
  const { drafts } = await ran(engine, { cache: false, draft: RIGHT });
  expect([drafts, engine.calls[1]?.ids]).toEqual([null, [...PROMPT, 103]]);
});

it('generations that share an engine keep their own', async () => {
  const engine = MockEngine.script((ids) => 10 * (ids[0] as number) + ids.length);
  const both = [1, 2].map((first) =>
    generate(engine, greedy(), [first], optionsFor(engine, { maxTokens: 9, draft: guessing((n) => 10 * first + n) })),
  );
  const ids: number[][] = [];
  for (let i = 0; i < 9; i++) {
    const next = await Promise.all(both.map((tokens) => tokens.next()));
    ids.push(next.map(({ value }) => (value as { id: number }).id));
  }
  expect(ids).toEqual(range(11, 20).map((id) => [id, id + 10]));
});

it('property: with any drafts, limits and seeds the ids, the end and the cache are those without', async () => {
  // A language of six ids that repeats itself, but not always.
  const language = () =>
    new MockEngine(
      (ids) => {
        const [a = 0, b = 0] = ids.slice(-2);
        return Array.from({ length: 6 }, (_, id) => ((a * 7 + b * 3 + id * 5) % 6 === 0 ? 3 : ((a + id) % 3) / 2));
      },
      { nPositions: 60, vocabSize: 6 },
    );
  const cases = fc.record({
    seed: fc.nat(1000),
    temperature: fc.constantFrom(0, 0.3, 1),
    repeatPenalty: fc.constantFrom(1, 1.3),
    most: fc.integer({ min: 1, max: 12 }),
    maxTokens: fc.integer({ min: 0, max: 70 }),
    nCtx: fc.integer({ min: 5, max: 60 }),
    onFull: fc.constantFrom('stop' as const, 'reprefill' as const),
    stopIds: fc.constantFrom([], [5]),
    stopAfter: fc.integer({ min: 1, max: 90 }),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ seed, temperature, repeatPenalty, most, stopAfter, ...options }) => {
      const once = (draft?: DraftOptions) => {
        let asked = 0;
        const sampler = makeSampler({ ...PLAIN, temperature, repeatPenalty }, seed);
        return ran(language(), { ...options, draft, isStopped: () => ++asked === stopAfter }, sampler);
      };
      const { drafts, ...plain } = await once();
      const { drafts: counts, ...drafted } = await once(lookup(most));
      expect(drafted).toEqual(plain);
      expect([drafts, counts !== null]).toEqual([null, true]);
    }),
    { numRuns: 200 },
  );
});
