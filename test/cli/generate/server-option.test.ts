// `--server` against kvgen's own server and one with vLLM's shapes, both over the same model: what they write is what is written
// without them, to the bit.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Model } from '../../../src/library/model.js';
import { startVllmStub, type VllmStub } from '../../servers/vllm-stub.js';
import { writeChatModel } from '../../support/chat-folder.js';
import { open } from '../../support/open.js';
import { type Serving, serving } from '../../support/serving.js';
import { tempDirs } from '../../support/temp-dir.js';
import { kvgenHere, kvgenJsonHere } from '../here.js';
import type { Ended } from '../run.js';

const PROMPT = 'Once upon a time';
const HERE = ['-m', 'stories', '--backend', 'simd', '--threads', '1'];
/** Says which machine, and how long it took. */
const OWN = [
  'backend',
  'engine',
  'threads',
  'weights',
  'model',
  'server',
  'cache',
  'num_tensors',
  'peak_rss_bytes',
  ...['load_ms', 'prompt_ms', 'first_token_ms', 'decode_ms', 'prompt_tps', 'generation_tps'],
];

const tempDir = tempDirs();
let model: Model;
let kvgen: Serving;
let vllm: VllmStub;

beforeAll(async () => {
  model = await open('models/stories', { backend: 'simd', engine: 'auto', threads: 1 });
  kvgen = await serving(model, { concurrency: 8 });
  vllm = await startVllmStub(model);
});

afterAll(async () => {
  await kvgen.close();
  await vllm.close();
  model.dispose();
});

/** The address by its name, which is known only when the tests run. */
function there(which: string, ...args: readonly string[]): string[] {
  const url = which.startsWith('kvgen') ? kvgen.url : vllm.url;
  return ['--server', url, ...(which.endsWith('ids') ? ['-m', './models/stories'] : []), ...args];
}

const ranHere = new Map<string, Promise<Ended>>();

/** What is written without a server: the same for every server that is asked. */
function here(args: readonly string[]): Promise<Ended> {
  const key = args.join(' ');
  const ended = ranHere.get(key) ?? kvgenHere([...HERE, ...args, PROMPT]);
  ranHere.set(key, ended);
  return ended;
}

function withoutOwn(json: object): object {
  return Object.fromEntries(Object.entries(json).filter(([name]) => !OWN.includes(name)));
}

describe.each(['kvgen', 'kvgen ids', 'vllm', 'vllm ids'])('%s', (which) => {
  it.each([
    [['-n', '20', '--seed', '7']],
    [['-n', '20', '--seed', '7', '--samples', '3', '--echo']],
    [['-n', '60', '--temp', '0', '--stop', 'toys', '--stop', ' park']],
    [['-n', '20', '--seed', '3', '--no-stream', '--top-k', '0', '--min-p', '0.1', '--logit-bias', '12=-inf']],
    [['-n', '180', '--temp', '0', '--ignore-eos', '--special']],
  ])('writes the text of %j', async (args) => {
    const served = await kvgenHere(there(which, ...args, PROMPT));
    expect(served).toEqual({ ...(await here(args)), stderr: '' });
  });

  it.each([
    [['-n', '20', '--seed', '7', '--logprobs', '3', ...(which.endsWith('ids') ? ['--echo'] : [])]],
    [['-n', '300', '--temp', '0', '--seed', '1']],
    [['-n', '30', '--temp', '0', '--seed', '1', '--stop', ' Lily']],
  ])('gives the object of %j', async (args) => {
    const { json } = await kvgenJsonHere(there(which, ...args, PROMPT));
    const local = JSON.parse((await here(['--json', ...args])).stdout);
    expect(withoutOwn(json)).toEqual(withoutOwn(which.endsWith('ids') ? local : withoutRivalIds(local)));
  });
});

/** Texts stand for the likeliest tokens where there is no tokenizer, so their ids are not known. */
function withoutRivalIds(json: object): object {
  return JSON.parse(JSON.stringify(json), (name, value) =>
    name === 'top' ? value.map((rival: object) => ({ ...rival, id: null })) : value,
  );
}

describe('what a server alone can say', () => {
  it('is told, and null where it is not', async () => {
    const args = ['-n', '2', '--temp', '0', `${PROMPT}, there was a little girl named Lily. She loved to play`];
    await kvgenJsonHere(there('kvgen', ...args));
    const { json } = await kvgenJsonHere(there('kvgen', ...args));
    expect(json).toMatchObject({
      model: 'test',
      backend: 'server',
      engine: 'kvgen',
      server: kvgen.url,
      threads: null,
      weights: null,
      prompt_ms: null,
      num_tensors: null,
      cache: { enabled: null, positions: null, bytes: null, prompt: { result: 'hit', computed_tokens: 0 } },
    });
    const { json: stub } = await kvgenJsonHere(there('vllm', ...args));
    expect(stub.cache.prompt).toMatchObject({ result: null, reused_tokens: null, computed_tokens: null });
  });

  it('the line of statistics names it', async () => {
    const { stderr } = await kvgenHere(there('vllm', '-n', '2', '--temp', '0', '--verbose', PROMPT));
    expect(stderr).toMatch(
      /^2 tokens · \d+ tok\/s · first token \d+ ms · prompt 4 tokens \(reused: not reported\) · 127\.0\.0\.1:\d+ · seed \d+\n$/,
    );
  });

  it('every sampling value is sent', async () => {
    await kvgenHere(there('vllm', '-n', '2', '--seed', '5', '--top-k', '0', PROMPT));
    expect(vllm.requests.at(-1)).toEqual({
      model: 'test',
      prompt: PROMPT,
      max_tokens: 2,
      temperature: 0.8,
      top_p: 0.95,
      seed: 5,
      frequency_penalty: 0,
      presence_penalty: 0,
      top_k: -1,
      min_p: 0,
      repetition_penalty: 1,
      ignore_eos: false,
      skip_special_tokens: true,
      add_special_tokens: true,
      return_token_ids: true,
      stream: true,
      stream_options: { include_usage: true },
    });
  });

  it('--prompt-ids are sent as they are; a tokenizer gives ids', async () => {
    const ids = '481,480,259,423';
    const { stdout } = await kvgenHere(there('vllm', '-n', '4', '--temp', '0', '--prompt-ids', ids));
    const { stdout: tokenized } = await kvgenHere(there('vllm ids', '-n', '4', '--temp', '0', PROMPT));
    expect(vllm.requests.slice(-2).map(({ prompt }) => prompt)).toEqual([
      [481, 480, 259, 423],
      [481, 480, 259, 423],
    ]);
    expect([stdout, tokenized]).toEqual([', there was a\n', ', there was a\n']);
  });
});

it.each(['kvgen', 'vllm'])('a tokenizer of another model is said to be one, by %s', async (which) => {
  const dir = writeChatModel(tempDir()); // its ids are bytes
  const { stderr, code } = await kvgenHere(there(which, '--tokenizer', dir, '-n', '40', '--seed', '1', PROMPT));
  const words = /^kvgen: [\d.:]+ writes another text for its ids; is --tokenizer of the same model\?\n$/;
  expect({ stderr, code }).toEqual({ stderr: expect.stringMatching(words), code: 1 });
});

describe('a batch', () => {
  const ROWS = [
    { id: 'a', prompt: PROMPT, max_tokens: 12 },
    { id: 'b', prompt: 'The dragon', seed: 3, samples: 2, temperature: 0.8 },
    { id: 'c', prompt: 'x', draft: 2 },
    { id: 'd', prompt_ids: [481, 480], stop: [' time'], max_tokens: 30 },
    { id: 'e' },
  ];
  const input = ROWS.map((row) => `${JSON.stringify(row)}\n`).join('');

  it.each(['kvgen', 'kvgen ids', 'vllm ids'])('by %s has the rows of one that is computed here', async (which) => {
    const args = ['batch', '--temp', '0', '-n', '6', '--concurrency', '3'];
    const served = await kvgenHere([...args, ...there(which)], { input });
    const local = await kvgenHere([...args, ...HERE], { input });
    const rows = (output: string) =>
      output
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
    const expected = rows(local.stdout).map((row) => (row.id === 'c' ? { id: 'c', error: expect.any(String) } : row));
    const seeds = (row: { id: string }) => (row.id === 'b' ? {} : { seed: expect.any(Number) });
    const prompt = (row: { id: string }) => (row.id === 'd' && !which.endsWith('ids') ? { prompt: '' } : {});
    expect(rows(served.stdout).map(withoutOwn)).toEqual(
      expected.map((row) => ('error' in row ? row : withoutOwn({ ...row, ...seeds(row), ...prompt(row) }))),
    );
    expect(rows(served.stdout)[3]).toEqual({ id: 'c', error: 'draft cannot go with server' });
    expect([served.code, local.code]).toEqual([1, 1]);
  });
});
