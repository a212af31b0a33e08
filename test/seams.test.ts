// The proof that the seams hold: an architecture and an engine that are known to this file alone run everything that
// generates, scores and remembers, and none of it knows them. The model is a table of what follows each id.

import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Completion, complete, RememberedReturn } from '../src/completion/complete.js';
import { completeMany } from '../src/completion/complete-many.js';
import {
  type CompletionRequest,
  makeRequest,
  type PromptSettings,
  preparePrompt,
  type Wishes,
} from '../src/completion/request.js';
import type { Engine, ForwardPart, Pass } from '../src/engine/engine.js';
import type { KvCache, Sequences } from '../src/engine/kv-cache.js';
import type { KvRows } from '../src/engine/kv-rows.js';
import { ModelFolder } from '../src/files/model-folder.js';
import { SavedPrompts } from '../src/generation/saved-prompts.js';
import { scoreContinuations, windowLoss } from '../src/generation/score.js';
import { type Generation, generate } from '../src/library/generate-text.js';
import { Model } from '../src/library/model.js';
import type { Architecture, ModelConfig } from '../src/model/config.js';
import { fingerprint } from '../src/store/fingerprint.js';
import { PromptStore } from '../src/store/prompts.js';
import { StoreFolder } from '../src/store/store-folder.js';
import { loadTokenizer } from '../src/text/tokenizer.js';
import { loadShape, readTensors } from '../src/weights/folder.js';
import { expectFailure } from './support/errors.js';
import { forward, PLAIN } from './support/run.js';
import { float32, writeSafetensors } from './support/safetensors.js';
import { tempDirs } from './support/temp-dir.js';

/** A model that looks at nothing but the newest id. */
const BIGRAM: Architecture = {
  modelType: 'bigram',
  title: 'bigram table',
  vocabulary: { embedding: 'bigram.weight', head: 'bigram.weight' },
  parse: (read) => ({
    modelType: 'bigram',
    vocabSize: read.count('vocab_size', 6),
    nPositions: read.count('n_positions', 400),
    nLayer: 1,
    nHead: 1,
    nKvHead: 1,
    headDim: 1,
    nEmbd: 1,
    eosTokenIds: read.ids('eos_token_id', []),
  }),
  tensorRole: () => 'body',
  tensors: ({ vocabSize }) => [{ name: 'bigram.weight', shape: [vocabSize, vocabSize] }],
};

/** Its key at a position is the id there, and its value that and a half; sequences end together. */
class BigramCache implements KvCache {
  expected = 0;
  sequences: number[][];

  constructor(sequences: number[][]) {
    this.sequences = sequences;
  }

  static from(cache: KvCache): BigramCache {
    if (!(cache instanceof BigramCache)) {
      throw new Error('the cache of another engine');
    }
    return cache;
  }

  get length(): number {
    return Math.max(0, ...this.lengths);
  }

  get lengths(): number[] {
    return this.sequences.map(({ length }) => length);
  }

  get byteSize(): number {
    return 8 * this.sequences.flat().length;
  }

  truncate(length: number): void {
    if (!(length >= 0 && length <= this.length)) {
      throw new RangeError(`truncate: expected 0 … ${this.length}, found ${length}`);
    }
    const cut = this.length - length;
    this.sequences = this.sequences.map((ids) => ids.slice(0, Math.max(0, ids.length - cut)));
  }

  truncateEach(lengths: readonly number[]): void {
    expect(lengths.length).toBe(this.sequences.length);
    this.sequences = this.sequences.map((ids, b) => ids.slice(0, lengths[b]));
  }

  fork(): BigramCache {
    return opened(new BigramCache(this.sequences.map((ids) => [...ids])));
  }

  export(from: number, to: number): KvRows {
    const [ids = []] = this.sequences;
    if (this.sequences.length > 1 || !(from >= 0 && from <= to && to <= ids.length)) {
      throw new RangeError(`export: ${from} to ${to} of ${this.lengths}`);
    }
    const k = Float32Array.from(ids.slice(from, to));
    return { length: to - from, nKvHead: 1, headDim: 1, layers: [{ k, v: k.map((id) => id + 0.5) }] };
  }

  dispose(): void {
    this.sequences = [];
    alive.delete(this);
  }
}

/** Caches that nobody has disposed. */
const alive = new Set<BigramCache>();

function opened(cache: BigramCache): BigramCache {
  alive.add(cache);
  return cache;
}

class BigramEngine implements Engine {
  readonly name = 'by hand';
  readonly ragged = true;
  readonly passCost = null;
  readonly config: ModelConfig;
  /** What it was asked for. */
  passes: Pass[] = [];
  readonly #table: Float32Array;

  constructor(config: ModelConfig, table: Float32Array) {
    this.config = config;
    this.#table = table;
  }

  get parameters(): number {
    return this.#table.length;
  }

  newCache(positions?: KvRows): BigramCache {
    const [layer] = positions?.layers ?? [];
    expect([...(layer?.v ?? [])]).toEqual([...(layer?.k ?? [])].map((id) => id + 0.5));
    return opened(new BigramCache(layer === undefined ? [] : [[...layer.k]]));
  }

  gather(sources: readonly Sequences[]): BigramCache {
    const taken = sources.flatMap(({ cache, places }) => places.map((b) => BigramCache.from(cache).sequences[b]));
    return opened(new BigramCache(taken.map((ids) => [...(ids ?? [])])));
  }

  forward(pass: Pass, cache: KvCache | null, onPart?: (part: ForwardPart) => void): Float32Array[] {
    this.passes.push(pass);
    const { vocabSize, nPositions } = this.config;
    const own = cache === null ? null : BigramCache.from(cache);
    const past = pass.ids.map((_, b) => own?.sequences[b] ?? []);
    const sequences = pass.ids.map((ids, b) => [...(past[b] ?? []), ...ids]);
    if (sequences.some(({ length }) => length > nPositions) || (own?.sequences.length ?? 0) > pass.ids.length) {
      throw new Error('more than there is room for, or other sequences');
    }
    onPart?.('feed');
    if (own !== null) {
      own.sequences = sequences;
    }
    const ids = pass.ids.flat();
    const logits = pass.wanted.map((place) => {
      const id = ids[place] ?? Number.NaN;
      return this.#table.slice(id * vocabSize, (id + 1) * vocabSize);
    });
    onPart?.('graph');
    onPart?.('read');
    return logits;
  }

  numTensors(): number {
    return alive.size;
  }

  dispose(): void {}
}

/** By id: the end of the text, a, b, c, d, e. Greedy, a is followed by b, b by c, c by a, d by e, and e by the end. */
const TABLE = [
  [0, 1, 2, 3, 2.5, 1],
  [0, 1, 5, 2, 3, 1.5],
  [1, 2, 0, 6, 1, 2.5],
  [0.5, 4, 1, 0, 3, 2],
  [2, 0, 1, 1, 0, 7],
  [4, 3, 1, 0, 2, 1],
];
const TOKENS = ['<|endoftext|>', 'a', 'b', 'c', 'd', 'e'];

/** log softmax, by the book. */
function logprob(id: number, next: number): number {
  const logits = TABLE[id] ?? [];
  return (logits[next] ?? Number.NaN) - Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0));
}

/** The log-probability of these ids behind the first of them. */
function logprobs(ids: readonly number[]): number[] {
  return ids.slice(1).map((next, i) => logprob(ids[i] ?? Number.NaN, next));
}

const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);

const newDir = tempDirs();
let dir: string;
let engine: BigramEngine;
let model: Model;

beforeAll(async () => {
  dir = newDir();
  writeFileSync(join(dir, 'config.json'), JSON.stringify({ model_type: 'bigram', vocab_size: 6, eos_token_id: 0 }));
  writeSafetensors(join(dir, 'model.safetensors'), new Map([['bigram.weight', float32([6, 6], TABLE.flat())]]));
  writeFileSync(join(dir, 'vocab.json'), JSON.stringify(Object.fromEntries(TOKENS.map((token, id) => [token, id]))));
  writeFileSync(join(dir, 'merges.txt'), '#version: 0.2\n');
  const shape = await loadShape(new ModelFolder(dir), [BIGRAM]);
  for await (const tensor of readTensors(new ModelFolder(dir), shape)) {
    expect(tensor.name).toBe('bigram.weight');
    const values = new Float32Array(36);
    await tensor.read(values, 0);
    engine = new BigramEngine(shape.config, values);
  }
  const tokenizer = await loadTokenizer(new ModelFolder(dir));
  model = new Model({ engine, name: 'toy', dir, tokenizer, backend: 'cpu', threads: 1, weights: 'float32' });
});

afterEach(() => {
  expect(alive.size).toBe(0);
  engine.passes = [];
});

const SETTINGS: PromptSettings = {
  ...PLAIN,
  bos: true,
  special: false,
  maxTokens: 8,
  stop: [],
  ignoreEos: false,
  cache: true,
  onFull: 'stop',
  draft: 0,
};

async function requestFor(
  text: string,
  settings: Partial<PromptSettings>,
  seed = 0,
  wishes: Wishes = {},
): Promise<CompletionRequest> {
  const all = { ...SETTINGS, ...settings };
  const prompt = await preparePrompt(text, all, model, { logitBias: '', advice: '', onNote: () => {} });
  return makeRequest(prompt, all, seed, model, [], wishes);
}

/** Completes all, `concurrency` of them together, and gives what came of each. */
async function completeAll(requests: readonly CompletionRequest[], concurrency: number): Promise<Completion[]> {
  const waiting = [...requests];
  const source = { take: () => waiting.shift(), wait: async () => false };
  const ends = new Map<CompletionRequest, Completion>();
  for await (const event of completeMany(model.engine, model.tokenizer, source, concurrency)) {
    expect(event).not.toHaveProperty('error');
    if ('end' in event) {
      ends.set(event.request, event.end);
    }
  }
  return requests.flatMap((request) => ends.get(request) ?? []);
}

/** As the library's users call it. */
async function generated(...args: Parameters<typeof generate>): Promise<Generation> {
  const tokens = new RememberedReturn(generate(...args));
  const joined: string[] = [];
  for await (const { text } of tokens) {
    joined.push(text);
  }
  expect(tokens.returned?.text).toBe(joined.join(''));
  return tokens.returned ?? expect.unreachable('a generator without an end');
}

const idsOf = ({ tokens }: Completion) => tokens.map(({ id }) => id);

describe('a folder of another architecture', () => {
  it('has the sizes and tensors that the architecture says', async () => {
    const shape = await loadShape(new ModelFolder(dir), [BIGRAM]);
    expect(shape.architecture).toBe(BIGRAM);
    expect(shape.config).toEqual({ ...engine.config, vocabSize: 6, nPositions: 400, eosTokenIds: [0] });
    expect([model.parameters, model.name, model.backend]).toEqual([36, 'toy', 'cpu']);
  });

  it('is refused by its name where nobody knows it, and so is another where only it is known', async () => {
    await expectFailure(
      () => loadShape(new ModelFolder(dir)),
      'config.json: model_type: expected "gpt2" or "llama"',
      '(others are not done yet), found "bigram"',
    );
    const other = newDir();
    writeFileSync(join(other, 'config.json'), '{"model_type": "gpt2"}');
    await expectFailure(
      () => loadShape(new ModelFolder(other), [BIGRAM]),
      'model_type: expected "bigram" (others are not done yet), found "gpt2"',
    );
  });

  it('with a tensor too many is refused in its own words', async () => {
    const other = newDir();
    const one = float32([6, 6], TABLE.flat());
    writeSafetensors(join(other, 'model.safetensors'), new Map([['bigram.weight', one]]).set('trigram.weight', one));
    const tensors = readTensors(new ModelFolder(other), await loadShape(new ModelFolder(dir), [BIGRAM]));
    await expectFailure(() => tensors.next(), 'trigram.weight: a bigram table of 1 layers has no such tensor');
  });
});

describe('the library on another engine', () => {
  it('gives the logits of the table, cached and not', () => {
    for (const cache of [true, false]) {
      expect([...model.logits([4, 5, 1], { cache })]).toEqual(TABLE[1]);
    }
  });

  it('generates the greedy ids of the table', async () => {
    const completion = await generated(model, 'da', { temperature: 0, maxTokens: 5, logprobs: 1 });
    expect(completion).toMatchObject({ text: 'bcabc', finishReason: 'length', promptIds: [4, 1] });
    expect(idsOf(completion)).toEqual([2, 3, 1, 2, 3]);
    const found = completion.tokens.map((token) => token.logprob ?? Number.NaN);
    for (const [i, expected] of logprobs([1, 2, 3, 1, 2, 3]).entries()) {
      expect(found[i]).toBeCloseTo(expected, 10);
    }
    expect(completion.stats).toMatchObject({ generationTokens: 5, cachePositions: 6, cacheBytes: 48 });
    expect(completion.stats.numTensors).toEqual([1, 1]);
  });

  it('ends at its end of text, at a stop string, and at the end of its context', async () => {
    const greedy = { temperature: 0, maxTokens: Number.POSITIVE_INFINITY };
    expect(await generated(model, 'cd', greedy)).toMatchObject({ text: 'e', finishReason: 'stop' });
    expect(await generated(model, 'a', { ...greedy, stop: ['ca'] })).toMatchObject({ text: 'b', finishReason: 'stop' });
    const whole = await generated(model, 'a', greedy);
    expect(whole).toMatchObject({ text: 'bca'.repeat(133), finishReason: 'context' });
    expect(whole.stats).toMatchObject({ generationTokens: 399, cachePositions: 399 });
    const uncached = await generated(model, 'a', { ...greedy, cache: false });
    expect(uncached).toMatchObject({ text: whole.text, stats: { cachePositions: 0, cacheBytes: 0 } });
  });

  it('goes on past the end of its context with what is kept', async () => {
    const options = { temperature: 0, maxTokens: 500, onFull: 'reprefill' as const };
    expect(await generated(model, 'c', options)).toMatchObject({
      text: `${'abc'.repeat(166)}ab`,
      finishReason: 'length',
      stats: { generationTokens: 500 },
    });
  });
});

describe('many sequences on another engine', () => {
  it('several samples of one prompt are those of each seed alone, behind one prefill', async () => {
    const seeds = [1, 2, 3, 4, 5];
    const options = { ...PLAIN, maxTokens: 20, ignoreEos: true };
    const samples = await completeAll(await Promise.all(seeds.map((seed) => requestFor('abc', options, seed))), 5);
    expect(engine.passes.map(({ ids }) => ids.length)).toEqual([1, ...Array(19).fill(5)]);
    expect(engine.passes[0]?.ids).toEqual([[1, 2, 3]]);
    for (const [i, seed] of seeds.entries()) {
      const alone = await generated(model, 'abc', { ...options, seed });
      expect(samples[i]).toMatchObject({ text: alone.text, tokens: alone.tokens, finishReason: 'length' });
    }
    expect(new Set(samples.map(({ text }) => text)).size).toBe(5);
  });

  it.each([1, 2, 3, 8])('a batch of prompts of unequal lengths, %i together', async (concurrency) => {
    const prompts = ['a', 'edcba', 'bad', 'abcabcabcabc', 'e', 'b'];
    const completions = await completeAll(
      await Promise.all(prompts.map((prompt, i) => requestFor(prompt, { temperature: 0, maxTokens: 3 + i }))),
      concurrency,
    );
    expect(completions.map(({ text, finishReason }) => [text, finishReason])).toEqual([
      ['bca', 'length'],
      ['bcab', 'length'],
      ['e', 'stop'],
      ['abcabc', 'length'],
      ['', 'stop'],
      ['cabcabca', 'length'],
    ]);
    expect(Math.max(...engine.passes.map(({ ids }) => ids.length))).toBe(Math.min(concurrency, 5)); // one ends at once
    expect(completions.map(({ stats }) => stats.cachePositions)).toEqual([3, 8, 4, 17, 1, 8]);
  });
});

describe('scores on another engine', () => {
  it('of continuations are sums of the log-softmax of the table', async () => {
    const cache = engine.newCache();
    const logits = forward(engine, [4, 1, 2], cache);
    const continuations = [[3], [3, 1, 2, 5], [0, 0], [5, 4, 3, 2, 1, 0], [2, 3]];
    const scores = await scoreContinuations(engine, cache, logits, continuations);
    for (const [i, ids] of continuations.entries()) {
      expect(scores[i]).toBeCloseTo(sum(logprobs([2, ...ids])), 10);
    }
    expect(scores.length).toBe(5);
    expect(cache.sequences).toEqual([[4, 1, 2]]);
    expect(engine.passes.length).toBe(2); // all that are longer than one id share one
    cache.dispose();
  });

  it.each([299, 256, 44, 43, 1])('of a window, the last %i of 300 ids', async (scored) => {
    const ids = Array.from({ length: 300 }, (_, i) => (i * i + 3 * i) % 6);
    expect(await windowLoss(engine, { ids, scored })).toBeCloseTo(-sum(logprobs(ids).slice(-scored)), 8);
  });
});

describe('the prompt cache on another engine', () => {
  const text = 'abcdeabcadcbeacbdeabcdabceadcbeabcdeabca'; // 40 ids: a block of 32 and an end
  let known: string;
  beforeAll(async () => {
    const folder = new ModelFolder(dir);
    await loadShape(folder, [BIGRAM]);
    known = await fingerprint(folder, { folder: undefined, write: false });
  });

  function promptsIn(path: string): SavedPrompts {
    const folder = new StoreFolder(path);
    const limits = { maxBytes: 1e9, maxAgeMs: 1e12 };
    const onNote = (line: string) => expect.unreachable(line);
    const of = { fingerprint: known, dtype: 'float32' as const, shape: engine.config, model: 'toy' };
    const store = new PromptStore({ folder, write: true, limits, ...of, onNote });
    return new SavedPrompts(engine, store, 'abcde', true);
  }

  async function completed(prompt: string, promptCache?: SavedPrompts): Promise<Completion> {
    engine.passes = [];
    const request = await requestFor(prompt, { temperature: 0, maxTokens: 6 }, 0, { promptCache });
    const tokens = complete(model.engine, model.tokenizer, request);
    for (;;) {
      const next = await tokens.next();
      if (next.done === true) {
        return next.value;
      }
    }
  }

  it('gives a prompt again, with no pass for it and the same ids', async () => {
    const folder = newDir();
    const plain = await completed(text);
    expect(idsOf(plain)).toEqual([2, 3, 1, 2, 3, 1]);
    const first = await completed(text, promptsIn(folder));
    expect([idsOf(first), first.stats.reusedTokens]).toEqual([idsOf(plain), 0]);
    const prompts = promptsIn(folder);
    const second = await completed(text, prompts);
    expect([idsOf(second), second.stats.reusedTokens]).toEqual([idsOf(plain), 40]);
    expect(second.stats.cachePositions).toBe(45);
    expect(engine.passes.map(({ ids }) => ids)).toEqual([[[2]], [[3]], [[1]], [[2]], [[3]]]);
    expect(prompts.report).toMatchObject({ missReason: null, firstDifference: null });
  });

  it('gives what another prompt begins with, and runs the rest alone', async () => {
    const folder = newDir();
    await completed(text, promptsIn(folder));
    const longer = `${text.slice(0, 36)}ddb`;
    const prompts = promptsIn(folder);
    const found = await completed(longer, prompts);
    expect(found.stats.reusedTokens).toBe(36);
    expect(engine.passes[0]?.ids).toEqual([[4, 4, 2]]);
    expect(prompts.report).toMatchObject({ firstDifference: { index: 36, stored: 1, new: 4 } });
    expect(idsOf(found)).toEqual(idsOf(await completed(longer)));
    const again = await completed(longer, promptsIn(folder)); // it was stored with what it took over
    expect([idsOf(again), again.stats.reusedTokens]).toEqual([idsOf(found), 39]);
  });

  it('serves many sequences as well', async () => {
    const folder = newDir();
    const prompts = [text, `${text}e`, text.slice(0, 33)];
    const runs = async () => {
      const requests = prompts.map((prompt) =>
        requestFor(prompt, { temperature: 0 }, 0, { promptCache: promptsIn(folder) }),
      );
      return completeAll(await Promise.all(requests), 3);
    };
    const [first, second] = [await runs(), await runs()];
    expect(second.map(idsOf)).toEqual(first.map(idsOf));
    expect(second.map(({ stats }) => stats.reusedTokens)).toEqual([40, 41, 33]);
  });
});

it('all of this without TensorFlow, and without a file of its engine', () => {
  const { cache } = createRequire(import.meta.url);
  expect(Object.keys(cache).filter((path) => path.includes('@tensorflow'))).toEqual([]);
  const imported = readFileSync(new URL(import.meta.url), 'utf8').match(/from '\.[^']+'/g) ?? [];
  expect(imported.length).toBeGreaterThan(15);
  expect(imported.filter((path) => /\/tf\//.test(path))).toEqual([]);
});
