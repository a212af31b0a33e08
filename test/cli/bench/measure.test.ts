// That what is timed is what the point says: so many ids, behind so many others, on a cache of its own.

import { expect, it } from 'vitest';
import { type Measured, type MeasureOptions, measure, type Result } from '../../../src/cli/bench/measure.js';
import { benchPoints } from '../../../src/cli/bench/points.js';
import { MockEngine } from '../../support/mock-engine.js';

const OPTIONS: MeasureOptions = {
  repeat: 2,
  warmup: 1,
  seed: 5,
  signal: new AbortController().signal,
  onProgress: () => {},
};

function mockEngine(): MockEngine {
  return new MockEngine(() => [0], { vocabSize: 1000, nPositions: 600 });
}

async function run(
  engine: MockEngine,
  args: Parameters<typeof benchPoints>[0],
  { profile, ...options }: Partial<MeasureOptions & Measured> = {},
) {
  const results: Result[] = [];
  for await (const { result } of measure([{ engine, profile }], benchPoints(args, 600), { ...OPTIONS, ...options })) {
    results.push(result);
  }
  return results;
}

/** Each pass as `new ids + ids before`. */
function passes({ calls }: MockEngine): string[] {
  return calls.map(({ ids, past }) => `${ids.length}+${past?.length}`);
}

it('prefill: chunks from nothing, as often as warm-up and repeats say', async () => {
  const engine = mockEngine();
  await run(engine, { promptTokens: [300], genTokens: 0, cachedOnly: true });
  expect(passes(engine)).toEqual(['256+0', '44+256', '256+0', '44+256', '256+0', '44+256']);
});

it('decode: the depth once, then token by token behind it each time; deeper ones go on from there', async () => {
  const engine = mockEngine();
  await run(engine, { promptTokens: [], genTokens: 2, depth: [0, 3, 300], cachedOnly: true }, { repeat: 1 });
  const twice = (depth: number) =>
    Array(2)
      .fill([`1+${depth}`, `1+${depth + 1}`])
      .flat();
  expect(passes(engine)).toEqual([...twice(0), '3+0', ...twice(3), '256+3', '41+259', ...twice(300)]);
});

it('several engines: in turns, round by round, each behind a cache of its own', async () => {
  const turns: string[] = [];
  const engines = ['one', 'other'].map((label) => {
    const next = (ids: readonly number[]) => {
      turns.push(`${label} ${ids.length}`);
      return [0];
    };
    return { engine: new MockEngine(next, { vocabSize: 1000, nPositions: 600 }), label };
  });
  const lines: string[] = [];
  const options = { ...OPTIONS, onProgress: (line: string) => lines.push(line) };
  const places: string[] = [];
  const points = benchPoints({ promptTokens: [4], genTokens: 1, depth: [7], cachedOnly: true }, 600);
  for await (const { place, result } of measure(engines, points, options)) {
    places.push(`${place} ${result.name} ${result.repeat}`);
  }
  expect(places).toEqual(['0 pp4 2', '1 pp4 2', '0 tg1 2', '1 tg1 2']);
  const rounds = Array(3).fill(['one 4', 'other 4']).flat();
  expect(turns).toEqual([
    ...rounds,
    ...['one 7', 'one 8', 'other 7', 'other 8'], // each reaches the depth once
    ...Array(2).fill(['one 8', 'other 8']).flat(),
  ]);
  expect(lines.slice(0, 3)).toEqual([
    'pp4 at depth 0: warm-up, one',
    'pp4 at depth 0: warm-up, other',
    'pp4 at depth 0: 1/2, one',
  ]);
});

it('without the cache: all ids anew for each token, with nothing before them', async () => {
  const engine = mockEngine();
  await run(engine, { promptTokens: [], genTokens: 9, depth: [40], cachedOnly: false }, { repeat: 1, warmup: 0 });
  expect(passes(engine).slice(-3)).toEqual(['41+0', '42+0', '43+0']);
});

it('the same ids at the same positions, decided by the seed', async () => {
  const idsAt = async (seed: number) => {
    const engine = mockEngine();
    await run(engine, { promptTokens: [50], genTokens: 3, depth: [20], cachedOnly: false }, { seed });
    const sequences = engine.calls.map(({ ids, past }) => [...(past ?? []), ...ids]);
    const longest = sequences.reduce((a, b) => (b.length > a.length ? b : a));
    for (const sequence of sequences) {
      expect(sequence).toEqual(longest.slice(0, sequence.length));
    }
    return longest;
  };
  const [once, again, other] = [await idsAt(5), await idsAt(5), await idsAt(6)];
  expect(again).toEqual(once);
  expect(other).not.toEqual(once);
  expect(new Set(once).size).toBeGreaterThan(40);
});

it('every cache is disposed, also when it is stopped halfway', async () => {
  for (const label of ['none', 'pp8', 'tg2 at depth 5', 'tg2 at depth 5 without']) {
    const engine = mockEngine();
    const controller = new AbortController();
    const onProgress = (line: string) => line.startsWith(label) && controller.abort(new Error('stopped'));
    const options = { onProgress, signal: controller.signal };
    const running = run(engine, { promptTokens: [8], genTokens: 2, depth: [5], cachedOnly: false }, options);
    await (label === 'none' ? running : expect(running).rejects.toThrow('stopped'));
    const caches = engine.caches.flatMap((cache) => [cache, ...cache.forks]);
    expect(caches.length).toBeGreaterThan(0);
    expect(caches.every(({ disposed }) => disposed > 0)).toBe(true);
  }
});

it('a profile: each step once more, sampled and turned into text', async () => {
  const engine = mockEngine();
  const sampled: number[] = [];
  const profile = { sample: (logits: Float32Array) => sampled.push(logits.length), text: () => {} };
  const args = { promptTokens: [8], genTokens: 4, depth: [5], cachedOnly: false };
  const results = await run(engine, args, { profile });
  expect(sampled).toEqual([1, 1, 1, 1]);
  expect(results.map((result) => result.profile !== undefined)).toEqual([false, true, false]);
  expect(results[1]?.profile?.sample_ms).toBeGreaterThanOrEqual(0);
  const noText = await run(engine, args, { profile: { ...profile, text: null } });
  expect(noText[1]?.profile?.text_ms).toBeNull();
});
