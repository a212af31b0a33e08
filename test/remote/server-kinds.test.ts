// What a server is, asked once, and what each kind is asked and refused. The answers of llama.cpp and mlx-lm are recorded ones.

import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { kvgenHere, kvgenJsonHere } from '../cli/here.js';
import { END, IDS, START, writeChatModel } from '../support/chat-folder.js';
import { tempDirs } from '../support/temp-dir.js';
import { DONE, type FakeServer, fakeServer, json, LENGTH, piece, STOP, stream } from './fake-server.js';

let server: FakeServer;

afterEach(() => server.close());

type Answer = Parameters<typeof fakeServer>[0][string];

const TEXT: Answer = (_, response) => response.end(void stream(response, piece('text'), LENGTH, DONE));

function recorded(name: string) {
  const answers = JSON.parse(readFileSync(`test/fixtures/servers/${name}.json`, 'utf8'));
  const answer = (key: string, headers = {}): Answer => {
    const { status, answer: value } = answers[key];
    return (_, response) =>
      typeof value === 'string'
        ? response.writeHead(status, headers).end(value)
        : json(response, value, status, headers);
  };
  return { answers, answer };
}

const PYTHON = { server: 'BaseHTTP/0.6 Python/3.11.2' };
const llamaCpp = recorded('llama-cpp');
const mlx = recorded('mlx-lm');

/** The addresses that say what a server is. */
const WHAT_IT_IS = {
  'llama.cpp': { '/v1/models': llamaCpp.answer('models'), '/props': llamaCpp.answer('props') },
  'mlx-lm': { '/v1/models': mlx.answer('models', PYTHON), '/props': mlx.answer('props', PYTHON) },
  vllm: { '/v1/models': models({ id: 'm', owned_by: 'vllm', max_model_len: 9 }) },
  'vllm behind another name': { '/v1/models': models({ id: 'm' }), '/version': version },
  kvgen: { '/v1/models': models({ id: 'm', owned_by: 'kvgen', max_model_len: 9 }) },
  other: { '/v1/models': models({ id: 'm' }) },
} as const satisfies Record<string, Record<string, Answer>>;

function models(...data: readonly object[]): Answer {
  return (_, response) => json(response, { object: 'list', data });
}

function version(_: unknown, response: Parameters<Answer>[1]): void {
  json(response, { version: '0.18.0' });
}

async function start(which: keyof typeof WHAT_IT_IS, answer: Answer = TEXT) {
  server = await fakeServer({ ...WHAT_IT_IS[which], '/v1/completions': answer });
}

async function run(...args: readonly string[]) {
  const ended = await kvgenHere(['--server', server.url, '-n', '3', ...args, 'Hi']);
  return { ...ended, body: server.completions.at(-1)?.body };
}

const COMMON = {
  model: 'm',
  prompt: 'Hi',
  max_tokens: 3,
  top_p: 0.95,
  stream: true,
  stream_options: { include_usage: true },
};

describe('is asked once, and every value under its name', () => {
  it('llama.cpp', async () => {
    await start('llama.cpp');
    const { stdout, body } = await run('--seed', '7', '--samples', '2', '--logit-bias', '5=-inf');
    expect(stdout).toBe('text\n---\ntext\n');
    expect(body).toEqual({
      ...COMMON,
      model: 'stories',
      temperature: 0.8,
      seed: 8,
      top_k: 40,
      min_p: 0,
      repeat_penalty: 1,
      repeat_last_n: 64,
      frequency_penalty: 0,
      presence_penalty: 0,
      logit_bias: { 5: -65504 },
      ignore_eos: false,
      samplers: ['penalties', 'top_k', 'top_p', 'min_p', 'temperature'],
      mirostat: 0,
      dynatemp_range: 0,
      cache_prompt: true,
    });
    expect(server.asked.map(({ path }) => path)).toEqual([
      '/v1/models',
      '/props',
      '/v1/completions',
      '/v1/completions',
    ]);
  });

  it('mlx-lm', async () => {
    await start('mlx-lm');
    const { body } = await run('--seed', '7', '--repeat-last-n', '-1', '--repeat-penalty', '1.5', '--stop', 'END');
    expect(body).toEqual({
      ...COMMON,
      model: 'default_model',
      temperature: 0.8,
      seed: 7,
      top_k: 40,
      min_p: 0,
      repetition_penalty: 1.5,
      repetition_context_size: 2 ** 31 - 1,
    });
  });

  it('kvgen serve', async () => {
    await start('kvgen');
    const { body } = await run('--seed', '7', '--logit-bias', '5=-inf', '--no-bos', '--special', '--ignore-eos');
    expect(body).toEqual({
      ...COMMON,
      temperature: 0.8,
      seed: 7,
      top_k: 40,
      min_p: 0,
      repeat_penalty: 1,
      repeat_last_n: 64,
      frequency_penalty: 0,
      presence_penalty: 0,
      logit_bias: { 5: '-inf' },
      ignore_eos: true,
      skip_special_tokens: false,
      add_special_tokens: false,
      return_token_ids: true,
    });
  });

  it('another one: what all of them have', async () => {
    await start('other');
    const { body } = await run('--seed', '7', '--top-k', '0', '--logit-bias', '5=-inf');
    const off = { frequency_penalty: 0, presence_penalty: 0 };
    expect(body).toEqual({ ...COMMON, temperature: 0.8, seed: 7, logit_bias: { 5: -100 }, ...off });
  });

  it.each([
    [['--min-p', '0.1'], { top_k: 40, min_p: 0.1 }, ['--top-k 40', '--min-p 0.1']],
    [[], { top_k: 40 }, ['--top-k 40']],
    [['--temp', '0', '--min-p', '0.1'], {}, []],
  ])('another one with %j: what it may not know is sent where it is on, and said', async (args, sent, said) => {
    await start('other');
    const { stdout, stderr, body } = await run('--seed', '7', ...args);
    const { top_k, min_p } = body as Record<string, unknown>;
    expect({ stdout, sent: JSON.parse(JSON.stringify({ top_k, min_p })) }).toEqual({ stdout: 'text\n', sent });
    const host = new URL(server.url).host;
    const lines = said.map(
      (what) => `kvgen: ${host} is sent ${what}, which it may not know, and ignore; 0 turns it off\n`,
    );
    expect(stderr).toBe(lines.join(''));
  });

  it.each([
    ['llama.cpp', 'llama.cpp'],
    ['mlx-lm', 'mlx-lm'],
    ['vllm', 'vllm'],
    ['vllm behind another name', 'vllm'],
    ['kvgen', 'kvgen'],
    ['other', 'openai-compatible'],
  ] as const)('--json says that %s is %s', async (which, engine) => {
    await start(which);
    const { json: report } = await kvgenJsonHere(['--server', server.url, '--temp', '0', '-n', '3', 'Hi']);
    expect(report).toMatchObject({ backend: 'server', engine, server: server.url, text: 'text' });
  });
});

describe('what it cannot do is refused by name, before it is asked', () => {
  it.each<[keyof typeof WHAT_IT_IS, readonly string[], string]>([
    ['llama.cpp', ['-n', '0'], "llama.cpp's server cannot do --max-tokens 0; give 1 or more"],
    ['llama.cpp', ['--ignore-eos'], "llama.cpp's server cannot do --ignore-eos"],
    ['llama.cpp', ['--special'], "llama.cpp's server cannot do --special"],
    ['llama.cpp', ['--no-bos'], "llama.cpp's server has no --no-bos; --tokenizer puts nothing there"],
    [
      'llama.cpp',
      ['--seed', '4294967295'],
      "llama.cpp's server takes seeds up to 4294967294; --seed gives it 4294967295",
    ],
    ['mlx-lm', ['--json', '--logprobs', '1'], 'mlx-lm gives no log-probabilities in a stream'],
    ['mlx-lm', ['--ignore-eos'], 'mlx-lm cannot do --ignore-eos'],
    ['mlx-lm', ['--frequency-penalty', '1'], 'mlx-lm has no --frequency-penalty'],
    ['mlx-lm', ['-n', '-1'], 'mlx-lm cannot do --max-tokens -1 for a prompt of unknown length; give a number'],
    ['vllm', ['--json', '--logprobs', '21'], 'vLLM gives 20 likeliest tokens at most; --logprobs 21'],
    ['vllm', ['--repeat-penalty', '2'], 'vLLM penalizes all tokens; --repeat-last-n -1 says so, 64 cannot be done'],
    ['vllm', ['--logit-bias', '1=101'], 'vLLM takes biases from -100 to 100, or -inf; --logit-bias gives it 101'],
  ])('%s %j', async (which, args, words) => {
    await start(which);
    const { stdout, stderr, code } = await run(...args);
    expect({ stdout, stderr, code }).toEqual({ stdout: '', stderr: `kvgen: ${words}\n`, code: 1 });
    expect(server.completions).toEqual([]);
  });

  it('an empty prompt, and ids', async () => {
    await start('mlx-lm');
    const at = ['--server', server.url];
    const empty = await kvgenHere(at, { input: '' });
    const ids = await kvgenHere([...at, '--prompt-ids', '1,2']);
    expect([empty.stderr, ids.stderr, server.completions]).toEqual([
      'kvgen: mlx-lm takes no empty prompt; give one\n',
      'kvgen: mlx-lm takes no token ids; leave --tokenizer and --prompt-ids out\n',
      [],
    ]);
  });

  it.each([
    [['--prompt-ids', '1,2', '--echo'], '--echo of --prompt-ids writes their text: with --server it needs --tokenizer'],
    [
      ['--json', '--echo', '--logprobs', '1', 'Hi'],
      '--echo with --logprobs names the tokens of the prompt: with --server it needs --tokenizer',
    ],
    [['--truncate-prompt', 'head', 'Hi'], '--truncate-prompt counts tokens: with --server it needs --tokenizer'],
    [['--chat', 'Hi'], "--chat needs the model's template: with --server it needs --tokenizer"],
  ])('for want of a tokenizer, before anybody is asked: %j', async (args, words) => {
    await start('vllm');
    const { stderr, code } = await kvgenHere(['--server', server.url, ...args]);
    expect([stderr, code, server.asked]).toEqual([`kvgen: ${words}\n`, 2, []]);
  });

  it('is the error of a row, and the others go on', async () => {
    await start('vllm');
    const input =
      '{"id":1,"prompt":"a","repeat_penalty":2}\n{"id":2,"prompt":"b"}\n{"id":3,"prompt":"c","on_full":"reprefill"}\n';
    const { stdout, code } = await kvgenHere(['batch', '--server', server.url], { input });
    const rows = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(rows).toMatchObject([
      { id: 1, error: 'vLLM penalizes all tokens; --repeat-last-n -1 says so, 64 cannot be done' },
      { id: 2, text: 'text' },
      { id: 3, error: 'on_full reprefill cannot go with server' },
    ]);
    expect(code).toBe(1);
  });
});

describe('the model', () => {
  const TWO = { '/v1/models': models({ id: 'one' }, { id: 'two' }), '/v1/completions': TEXT };
  const GREEDY = ['--temp', '0'];

  it('is the one that -m names', async () => {
    server = await fakeServer(TWO);
    expect((await run('-m', 'two', ...GREEDY)).body.model).toBe('two');
  });

  it.each([
    [[], 'serves several models'],
    [['-m', 'three'], 'serves no model "three"'],
  ])('of several must be named: %j', async (args, words) => {
    server = await fakeServer(TWO);
    const { stderr, code } = await run(...args, ...GREEDY);
    expect({ stderr, code }).toEqual({
      stderr: `kvgen: ${server.url} ${words}; -m names one of "one", "two"\n`,
      code: 1,
    });
  });

  it('is the only one where a folder here is named', async () => {
    server = await fakeServer({ ...WHAT_IT_IS.vllm, '/v1/completions': TEXT });
    expect((await run('-m', './models/stories', ...GREEDY)).body).toMatchObject({ model: 'm', prompt: [1485] });
  });

  it('need not be listed', async () => {
    server = await fakeServer({ '/v1/models': (_, response) => json(response, {}, 404), '/v1/completions': TEXT });
    expect((await run('-m', 'named', ...GREEDY)).body.model).toBe('named');
  });

  it('where nothing is listed the address may be wrong: what cannot be done is said with it', async () => {
    server = await fakeServer({ '/v1/models': (_, response) => json(response, {}, 404) });
    const { stderr, code } = await run('--ignore-eos');
    const what = `${server.url} (no /v1/models: is this its address?)`;
    expect({ stderr, code }).toEqual({
      stderr: expect.stringContaining(`kvgen: ${what} cannot do --ignore-eos\n`),
      code: 1,
    });
  });

  it('a key that is missing is said at once', async () => {
    server = await fakeServer({ '/v1/models': (_, response) => json(response, { error: 'Unauthorized' }, 401) });
    const { stderr, code } = await run(...GREEDY);
    const words = `kvgen: ${server.url} answers 401: Unauthorized; KVGEN_API_KEY=… gives it a key\n`;
    expect({ stderr, code }).toEqual({ stderr: words, code: 1 });
  });
});

describe('--chat', () => {
  const tempDir = tempDirs();
  const HI = `${START}user\nHi${END}\n${START}assistant\n`;
  const ids = (token_ids: readonly number[]) => piece(String.fromCharCode(...token_ids), { token_ids });

  it('sends the ids of what the template of --tokenizer writes, and ends where a turn does', async () => {
    await start('vllm', (_, response) => stream(response, ids([65, 66]), ids([IDS[END]]), ids([67])));
    const dir = writeChatModel(tempDir());
    const { stdout, code, body } = await run('--tokenizer', dir, '--chat', '--truncate-prompt', 'head', '-n', '5');
    expect({ stdout, code }).toEqual({ stdout: 'AB\n', code: 0 });
    expect(body).toMatchObject({ prompt: [...Buffer.from(HI.slice(-5))], stop_token_ids: [IDS[END]] }); // a context of 9
  });

  it('needs both: a template, and ids', async () => {
    await start('vllm');
    const none = await run('--chat');
    expect(none).toMatchObject({
      code: 2,
      stderr: "kvgen: --chat needs the model's template: with --server it needs --tokenizer\n",
    });
    await server.close();
    await start('other');
    const { stderr } = await run('--tokenizer', writeChatModel(tempDir()), '--chat', '--temp', '0');
    expect(stderr).toBe(
      'kvgen: an OpenAI-compatible server cannot do --chat: it tells no ids, and one of them ends the turn\n',
    );
  });
});

describe('a recorded stream', () => {
  const onceUponATime = (tokens: number) =>
    kvgenJsonHere(['--server', server.url, '--temp', '0', '-n', String(tokens), 'Once upon a time']);

  it("of llama.cpp: the ids are those of its log-probabilities, the reuse is its timings'", async () => {
    const { answer } = llamaCpp.answers.streamLogprobs;
    await start('llama.cpp', (_, response) => response.end(void stream(response, answer)));
    const { json: report } = await onceUponATime(2);
    expect(report).toMatchObject({
      text: ', there',
      ids: [12, 417],
      finish_reason: 'length',
      prompt_tokens: 4,
      generation_tokens: 2,
      cache: { prompt: { result: 'partial', reused_tokens: 3 } },
    });
  });

  it('of mlx-lm: no ids, but what was counted', async () => {
    const { answer } = mlx.answers.streamUsage;
    await start('mlx-lm', (_, response) => response.end(void stream(response, answer)));
    const { json: report } = await onceUponATime(4);
    expect(report).toMatchObject({ text: ', there was a', ids: null, prompt_ids: null, generation_tokens: 4 });
  });
});

describe('tokens that end a text', () => {
  const ids = (token_ids: readonly number[], rest: object = {}) => piece('', { token_ids, ...rest });

  it('are none of its ids, as vLLM gives them', async () => {
    await start('vllm', (_, response) =>
      response.end(
        void stream(
          response,
          piece('a', { token_ids: [5] }),
          ids([0], { finish_reason: 'stop', stop_reason: null }),
          DONE,
        ),
      ),
    );
    const { json: report } = await kvgenJsonHere(['--server', server.url, 'Hi']);
    expect(report).toMatchObject({ text: 'a', ids: [5], generation_tokens: 1, finish_reason: 'stop' });
  });

  it('are ids like others behind a stop string', async () => {
    await start('vllm', (_, response) =>
      response.end(
        void stream(
          response,
          piece('a', { token_ids: [5] }),
          ids([7], { finish_reason: 'stop', stop_reason: 'END' }),
          DONE,
        ),
      ),
    );
    const { json: report } = await kvgenJsonHere(['--server', server.url, '--stop', 'END', 'Hi']);
    expect(report).toMatchObject({ text: 'a', ids: [5, 7], generation_tokens: 2, finish_reason: 'stop' });
  });

  it.each([
    [
      'a token that is held back has bytes, and is one of the text',
      [{ id: 7, token: 'E', bytes: [69], logprob: -1 }],
      [5, 7],
    ],
    ['which of the two it was cannot be told, and then the ids are not', [], null],
  ])('behind a stop string or at the end: %s', async (_, top, expected) => {
    const token = (id: number, bytes: readonly number[], rivals: readonly object[]) => ({
      logprobs: { content: [{ id, token: '', bytes, logprob: -1, top_logprobs: rivals }] },
    });
    const timings = 'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n';
    await start('llama.cpp', (_asked, response) =>
      response.end(
        void stream(response, piece('a', token(5, [97], [])), piece('', token(7, [], top)), STOP, timings, DONE),
      ),
    );
    const { json: report } = await kvgenJsonHere(['--server', server.url, '--stop', 'END', 'Hi']);
    expect(report).toMatchObject({ text: 'a', ids: expected, finish_reason: 'stop' });
  });

  it('an answer without any text is one', async () => {
    await start('other', (_, response) => response.end(void stream(response, STOP, DONE)));
    expect(await run('--temp', '0')).toMatchObject({ stdout: '\n', code: 0 });
  });
});
