// Whose prompt runs when: with an engine without a model, on the order of its passes. Requests come while others run.

import * as fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { KvgenError } from '../../src/errors.js';
import { generateMany, type RequestSource, type SequenceRequest } from '../../src/generation/generate-many.js';
import { bytesFor, type PoolOptions } from '../../src/generation/prompt-pool.js';
import { NOTHING_MEASURED, type SequenceOptions, type SequenceStats } from '../../src/generation/sequence.js';
import { ManyEngine } from '../support/mock-many.js';
import { greedy, optionsFor, run } from '../support/run.js';

interface Asked extends SequenceRequest {
  readonly name: string;
  readonly controller: AbortController;
  readonly ids: number[];
  stats: SequenceStats;
  end?: string;
  error?: unknown;
}

/** Requests that a test gives while the loop runs. */
class Loop implements RequestSource<Asked> {
  readonly engine: ManyEngine;
  /** Names of requests as they got a token or ended. */
  readonly events: string[] = [];
  /** How often the loop slept. */
  waits = 0;
  readonly #queue: Asked[] = [];
  readonly #concurrency: number;
  readonly #pool: PoolOptions;
  /** Called when there is nothing to do; what it adds is run. */
  onIdle = () => {};

  constructor({ engine = new ManyEngine(), concurrency = 8, pool = {} as PoolOptions } = {}) {
    this.engine = engine;
    this.#concurrency = concurrency;
    this.#pool = pool;
  }

  add(name: string, promptIds: readonly number[], options: Partial<SequenceOptions> = {}): Asked {
    const controller = new AbortController();
    const all = { ...optionsFor(this.engine, options), signal: controller.signal };
    const asked = { name, promptIds, sampler: greedy(), options: all, controller, ids: [], stats: NOTHING_MEASURED };
    this.#queue.push(asked);
    return asked;
  }

  take(): Asked | undefined {
    return this.#queue.shift();
  }

  async wait(): Promise<boolean> {
    this.waits++;
    this.onIdle();
    return this.#queue.length > 0;
  }

  async run(): Promise<void> {
    for await (const event of generateMany(this.engine, this, this.#concurrency, this.#pool)) {
      const { request } = event;
      if ('token' in event) {
        request.ids.push(event.token.id);
        request.stats = event.token.stats;
        this.events.push(`${request.name} token`);
      } else if ('end' in event) {
        request.end = event.end.finishReason;
        request.stats = event.end.stats;
        this.events.push(`${request.name} ${request.end}`);
      } else {
        request.error = event.error;
        this.events.push(`${request.name} error`);
      }
    }
  }

  /** Calls `act` before pass `number`, from 0. */
  before(number: number, act: () => void): void {
    const others = this.engine.onPass;
    this.engine.onPass = (pass) => {
      others(pass);
      if (this.engine.passes.length === number) {
        act();
      }
    };
  }
}

/** A prompt whose first id no other has. */
const prompt = (first: number, length: number) => [
  first,
  ...Array.from({ length: length - 1 }, (_, i) => (7 * i + first) % 50),
];
const sizes = (engine: ManyEngine) => engine.passes.map((pass) => pass.map(({ length }) => length).join('+'));
const ran = (engine: ManyEngine) => engine.passes.flat(2).length;
const short = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 9 });

describe('turns', () => {
  it('a prompt that nobody is decoded beside runs 128 ids a pass', async () => {
    const loop = new Loop();
    loop.add('a', prompt(1, 600), { maxTokens: 2 });
    await loop.run();
    expect(sizes(loop.engine)).toEqual(['128', '128', '128', '128', '88', '1']);
  });

  it('beside sequences that are decoded a round runs 64 ids, and each of them gets its token', async () => {
    const loop = new Loop();
    loop.add('a', prompt(1, 3), { maxTokens: 40 });
    loop.add('b', prompt(2, 3), { maxTokens: 40 });
    loop.before(4, () => loop.add('long', prompt(3, 300), { maxTokens: 2 }));
    await loop.run();
    const passes = sizes(loop.engine);
    expect(passes.slice(4, 17)).toEqual([
      ...['1+1', '64', '1+1', '64', '1+1', '64', '1+1', '64', '1+1', '44', '1+1+1', '1+1', '1+1'],
    ]);
    const [begin, end] = [loop.events.indexOf('long token'), loop.events.lastIndexOf('a token')];
    expect(begin).toBeLessThan(end); // it came in while the others went on
  });

  it('a short prompt that comes behind a long one is not behind the whole of it', async () => {
    const loop = new Loop();
    loop.add('other', prompt(1, 2), { maxTokens: 100 });
    loop.before(2, () => loop.add('long', prompt(2, 2000), { maxTokens: 1 }));
    loop.before(6, () => loop.add('short', prompt(3, 60), { maxTokens: 1 }));
    await loop.run();
    const from = loop.events.indexOf('short token');
    const others = loop.events.slice(0, from).filter((event) => event === 'other token');
    expect(others.length).toBeLessThan(9); // two rounds of 32 ids after it came
    expect(loop.events.indexOf('long token')).toBeGreaterThan(from);
    expect(sizes(loop.engine).slice(7, 12)).toEqual(['32', '32', '1', '28', '36']);
  });

  it('short prompts that keep coming do not keep a long one from its end', async () => {
    const loop = new Loop({ concurrency: 4 });
    loop.add('other', prompt(1, 2), { maxTokens: 100 });
    loop.before(2, () => loop.add('long', prompt(2, 640), { maxTokens: 1 }));
    for (let pass = 3; pass < 200; pass++) {
      loop.before(pass, () => loop.add('short', [60, pass % 60, ...prompt(3, 60 + pass)], { maxTokens: 2 }));
    }
    await loop.run();
    const before = loop.events.slice(0, loop.events.indexOf('long token'));
    const count = (name: string) => before.filter((event) => event === name).length;
    expect(count('short length')).toBeGreaterThan(5);
    expect(count('other token')).toBeLessThan(24); // 640 ids, at least 32 of them in each round
  });

  it('a text that is prefilled anew at the end of its context holds up nobody', async () => {
    const loop = new Loop();
    const options = { nCtx: 402, maxTokens: 4, onFull: 'reprefill' as const };
    const full = loop.add('full', prompt(1, 400), options);
    loop.add('other', prompt(2, 2), { maxTokens: 60 });
    await loop.run();
    const { ids } = await run(new ManyEngine(), prompt(1, 400), options);
    expect(full).toMatchObject({ ids, end: 'length' });
    expect(sizes(loop.engine).join(' ')).toContain('1 64 1 64 1 64 1 ');
  });

  it('what a prompt took is the time of its own passes', async () => {
    let now = 0;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
    const loop = new Loop();
    loop.engine.onPass = ({ ids }) => {
      now += 10 * ids.flat().length;
    };
    const long = loop.add('long', prompt(1, 300), { maxTokens: 1 });
    const short = loop.add('short', prompt(2, 20), { maxTokens: 1 });
    await loop.run();
    clock.mockRestore();
    expect([long, short].map(({ stats }) => [stats.promptMs, stats.firstTokenMs])).toEqual([
      [3000, 3200],
      [200, 840],
    ]);
  });
});

/** How many ids must be run so that each beginning is run once: the nodes of the tree of all prompts. */
function distinct(prompts: readonly (readonly number[])[]): number {
  return new Set(prompts.flatMap((ids) => ids.map((_, i) => ids.slice(0, i + 1).join()))).size;
}
/** Prompts that others contain: their last id may have to be run once more. */
function contained(prompts: readonly (readonly number[])[]): number {
  const isBeginning = (ids: readonly number[], other: readonly number[]) =>
    ids.length < other.length && ids.every((id, i) => id === other[i]);
  return prompts.filter((ids) => prompts.some((other) => isBeginning(ids, other))).length;
}

describe('what prompts begin with is run once', () => {
  it('when they arrive together, and when one comes while it is run', async () => {
    const common = prompt(1, 500);
    const loop = new Loop();
    loop.add('a', [...common, 1, 2, 3], { maxTokens: 1 });
    loop.add('b', [...common, 4, 5], { maxTokens: 1 });
    const late = { request: undefined as Asked | undefined };
    loop.before(1, () => {
      late.request = loop.add('c', [...common.slice(0, 400), 9, 9], { maxTokens: 1 });
    });
    await loop.run();
    expect(ran(loop.engine)).toBe(500 + 3 + 2 + 2);
    expect(late.request?.stats).toMatchObject({ reusedTokens: 400, reusedFrom: 'memory' });
  });

  it('and who waits for a part of a long prompt goes on before the rest of it', async () => {
    const loop = new Loop();
    loop.add('oldest', prompt(1, 1000), { maxTokens: 1 });
    loop.add('long', prompt(2, 3000), { maxTokens: 1 });
    const short = loop.add('short', [...prompt(2, 100), 9], { maxTokens: 1 });
    await loop.run();
    expect(sizes(loop.engine).slice(0, 5)).toEqual(['64', '64', '64', '64', '1']); // `long` is in a hurry, since another waits for it
    expect(short.stats.reusedTokens).toBe(100);
    expect(ran(loop.engine)).toBe(1000 + 3000 + 1);
  });

  it('of the same prompt one is run, and the logits serve all', async () => {
    const loop = new Loop();
    const all = [0, 1, 2].map((i) => loop.add(`${i}`, prompt(1, 300), { maxTokens: 1 }));
    await loop.run();
    expect(ran(loop.engine)).toBe(300);
    expect(all.map(({ stats }) => stats.reusedTokens)).toEqual([0, 300, 300]);
  });

  it('property: whatever arrives when, and each text is the one that it gives alone', async () => {
    const arrivals = fc.array(fc.record({ ids: short, at: fc.nat(12), maxTokens: fc.nat(3) }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(arrivals, fc.integer({ min: 1, max: 5 }), async (all, concurrency) => {
        const loop = new Loop({ concurrency });
        const asked: Asked[] = [];
        for (const { ids, at, maxTokens } of all) {
          const add = () => asked.push(loop.add('', ids, { maxTokens }));
          at === 0 ? add() : loop.before(at, add);
        }
        await loop.run();
        const decoded = asked.reduce((sum, { ids }) => sum + Math.max(0, ids.length - 1), 0);
        const prompts = asked.map(({ promptIds }) => promptIds);
        expect(ran(loop.engine) - decoded).toBeLessThanOrEqual(distinct(prompts) + contained(prompts));
        for (const { promptIds, options, ids, end } of asked) {
          const alone = await run(new ManyEngine(), promptIds, { ...options, signal: undefined });
          expect({ ids, end }).toEqual({ ids: alone.ids, end: alone.reason });
        }
        expect(loop.engine.alive.size).toBe(0);
      }),
    );
  });
});

describe('a request that is aborted leaves at once', () => {
  const phases = {
    'while its prompt is run': { at: 3, promptIds: prompt(5, 900), ids: 0 },
    'while it waits for what another runs': { at: 3, promptIds: [...prompt(4, 900), 1], ids: 0 },
    'while it is decoded': { at: 6, promptIds: prompt(6, 2), ids: 2 },
    'before it is begun': { at: 1, promptIds: prompt(7, 9), ids: 0 },
  };

  it.each(Object.entries(phases))('%s', async (_, { at, promptIds, ids }) => {
    const loop = new Loop({ concurrency: 3, pool: { keepsTexts: true } });
    const other = loop.add('other', prompt(1, 2), { maxTokens: 80 });
    const leader = loop.add('leader', prompt(4, 900), { maxTokens: 5 });
    const one = loop.add('one', promptIds, { maxTokens: 50 });
    const next = loop.add('next', prompt(8, 3), { maxTokens: 3 });
    let since = 0;
    loop.before(at, () => {
      since = loop.events.length;
      one.controller.abort();
    });
    await loop.run();
    expect([one.end, one.error, one.ids.length]).toEqual(['abort', undefined, ids]);
    const meanwhile = loop.events.slice(since, loop.events.indexOf('one abort'));
    expect(meanwhile.filter((event) => event === 'other token').length).toBeLessThan(2);
    expect([other, leader, next].map(({ end }) => end)).toEqual(['length', 'length', 'length']);
    expect(loop.events.indexOf('next token')).toBeLessThan(loop.events.indexOf('leader token')); // in the place of `one`
    expect(loop.engine.alive.size).toBe(0);
  });

  it('and what others wait for is not lost', async () => {
    const loop = new Loop();
    const leader = loop.add('leader', prompt(1, 800), { maxTokens: 1 });
    const follower = loop.add('follower', [...prompt(1, 700), 3], { maxTokens: 1 });
    loop.before(1, () => leader.controller.abort()); // it runs 256 ids before that is noticed
    await loop.run();
    expect([leader.end, follower.end]).toEqual(['abort', 'length']);
    expect(follower.stats.reusedTokens).toBe(256);
    expect(ran(loop.engine)).toBe(701);
  });

  it('when a pass fails, only those of the pass fail, and who waited for them runs it', async () => {
    const loop = new Loop();
    const leader = loop.add('leader', prompt(1, 800), { maxTokens: 1 });
    const follower = loop.add('follower', [...prompt(1, 700), 3], { maxTokens: 1 });
    loop.engine.onPass = () => {
      if (loop.engine.passes.length === 2 && leader.error === undefined) {
        throw new Error('the memory is full');
      }
    };
    await loop.run();
    expect([leader.error, leader.end, follower.end]).toEqual([new Error('the memory is full'), undefined, 'length']);
    expect(loop.engine.alive.size).toBe(0);
  });
});

describe('what is kept', () => {
  const conversation = async (pool: PoolOptions) => {
    const loop = new Loop({ pool });
    const first = loop.add('first', prompt(1, 100), { maxTokens: 20 });
    const second: { request?: Asked } = {};
    loop.onIdle = () => {
      loop.onIdle = () => {};
      second.request = loop.add('second', [...first.promptIds, ...first.ids, 5, 6], { maxTokens: 2 });
    };
    await loop.run();
    expect(loop.engine.alive.size).toBe(0);
    return second.request?.stats;
  };

  it.each([
    [true, 119],
    [false, 100],
  ])('of an answer: %s, and the next prompt begins behind %i ids', async (keepsTexts, reusedTokens) => {
    expect(await conversation({ keepsTexts })).toMatchObject({ reusedTokens, reusedFrom: 'memory' });
  });

  it('is no more than so many bytes, and the newest', async () => {
    const loop = new Loop({ pool: { maxBytes: 1, keepsTexts: true }, concurrency: 1 });
    loop.add('a', prompt(1, 100), { maxTokens: 3 });
    loop.add('b', prompt(2, 100), { maxTokens: 3 });
    const again = loop.add('a again', prompt(1, 100), { maxTokens: 3 });
    const alive: number[] = [];
    loop.onIdle = () => alive.push(loop.engine.alive.size);
    await loop.run();
    expect(again.stats.reusedTokens).toBe(0);
    expect(alive).toEqual([1]);
  });

  it.each([
    [8, { nLayer: 6, nKvHead: 6, headDim: 32, nPositions: 512 }, 8 * 512 * 9216],
    [8, { nLayer: 12, nKvHead: 12, headDim: 64, nPositions: 1024 }, 2 ** 28],
  ])('of %i texts together is as much as they take, and not above 256 MB', (texts, sizes, bytes) => {
    expect(bytesFor(texts, { ...new ManyEngine().config, ...sizes })).toBe(bytes);
  });

  it('comes from disk where that knows more, and the statistics say so', async () => {
    const loop = new Loop();
    const restore = () => ({ cache: loop.engine.cacheOf([prompt(1, 40)]), logits: null, source: 'disk' as const });
    const one = loop.add('one', prompt(1, 100), { maxTokens: 1, promptCache: { restore, keep: () => {} } });
    await loop.run();
    expect(one.stats).toMatchObject({ reusedTokens: 40, reusedFrom: 'disk' });
    expect(ran(loop.engine)).toBe(60);
  });
});

it.each([
  ['gone with what was kept', 1, { end: 'length', error: undefined }],
  ['needed by the text itself', 0, { end: undefined, error: new KvgenError('the memory is full') }],
])('where the memory is full, and that is %s', async (_, room, expected) => {
  const loop = new Loop();
  loop.add('kept', prompt(1, 100), { maxTokens: 1 });
  const texts: Asked[] = [];
  loop.onIdle = () => {
    loop.onIdle = () => {};
    texts.push(loop.add('text', prompt(2, 300), { maxTokens: 3 }));
    loop.engine.onPass = () => {
      if (loop.engine.alive.size > room) {
        throw new KvgenError('the memory is full');
      }
    };
  };
  await loop.run();
  expect(texts.map(({ end, error }) => ({ end, error }))).toEqual([expected]);
  expect(loop.engine.alive.size).toBe(0);
});

it('an idle loop holds no cache but those of prompts, and sleeps until it is woken', async () => {
  const loop = new Loop({ pool: { maxBytes: 1 } });
  loop.add('a', prompt(1, 100), { maxTokens: 3 });
  loop.add('b', prompt(2, 100), { maxTokens: 3 });
  const alive: number[] = [];
  loop.onIdle = () => alive.push(loop.engine.alive.size) < 3 && loop.add('again', prompt(3, 9), { maxTokens: 2 });
  await loop.run();
  expect([loop.waits, alive]).toEqual([3, [1, 1, 1]]);
});
