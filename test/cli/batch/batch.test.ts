// kvgen batch: JSON lines in and out, each row what generate makes of it alone.

import { execFileSync } from 'node:child_process';
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { goldenDir, readGolden } from '../../support/golden.js';
import { tempDirs } from '../../support/temp-dir.js';
import { BYTES, writeLongFolder } from '../folders.js';
import { kvgenHere as kvgen, kvgenJsonHere as kvgenJson } from '../here.js';
import { hasProc, hasPython, kvgenOnTerminal, kvgen as kvgenProcess, start, untilIdle } from '../run.js';

const tempDir = tempDirs();
const bytes = ['-m', BYTES, '--backend', 'cpu'];

// biome-ignore lint/suspicious/noExplicitAny: what is checked is what it is
type Json = any;

const lines = (rows: readonly unknown[]) =>
  rows.map((row) => `${typeof row === 'string' ? row : JSON.stringify(row)}\n`).join('');
const objects = (text: string): Json[] => text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line)]));

async function batch(rows: readonly unknown[], args: readonly string[] = bytes, run = kvgen) {
  const ended = await run(['batch', ...args], { input: lines(rows) });
  return { ...ended, results: objects(ended.stdout) };
}

/** Rows of unequal prompts and lengths, and the same as generate is asked for them. */
const ROWS: [row: Record<string, unknown>, args: string[]][] = [
  [{ prompt: 'Once upon a time', max_tokens: 30, temp: 0 }, ['-n', '30', '--temp', '0', 'Once upon a time']],
  [
    { prompt: 'Once upon a time there was a fox', max_tokens: 9, seed: 3 },
    ['-n', '9', '--seed', '3', 'Once upon a time there was a fox'],
  ],
  [
    { prompt: 'The moon', max_tokens: 40, seed: 5, stop: ['.', 'and'] },
    ['-n', '40', '--seed', '5', '--stop', '.', '--stop', 'and', 'The moon'],
  ],
  [
    { prompt: 'x', max_tokens: 12, seed: 1, temperature: 1.5, top_k: 0, top_p: 1, stop: 'e' },
    ['-n', '12', '--seed', '1', '--temp', '1.5', '--top-k', '0', '--top-p', '1', '--stop', 'e', 'x'],
  ],
  [
    { prompt_ids: [481, 480, 259], seed: 2, max_tokens: 7, logit_bias: { 423: '-inf', 12: 3 } },
    ['--prompt-ids', '481,480,259', '--seed', '2', '-n', '7', '--logit-bias', '423=-inf', '--logit-bias', '12=3'],
  ],
  [{ prompt: 'The end', seed: 4, max_tokens: 5, no_cache: true }, ['--seed', '4', '-n', '5', '--no-cache', 'The end']],
  [
    { prompt: 'Lily', seed: 6, max_tokens: -1, ctx_size: 20, ignore_eos: true },
    ['--seed', '6', '-n', '-1', '-c', '20', '--ignore-eos', 'Lily'],
  ],
  [
    { prompt: '', seed: 8, max_tokens: 3, repeat_penalty: 1.3 },
    ['--seed', '8', '-n', '3', '--repeat-penalty', '1.3', ''],
  ],
];

describe('each row is what generate makes of it alone', () => {
  const stories = ['--backend', 'simd', '--threads', '1'];
  let single: Json[];
  beforeAll(async () => {
    single = await Promise.all(ROWS.map(([, args]) => kvgenJson([...stories, ...args])));
  }, 60_000);

  it.each(['1', '3', '8'])('%s together, in input order', async (concurrency) => {
    const rows = ROWS.map(([row], i) => ({ id: `row ${i}`, ...row }));
    const { code, results } = await batch(rows, [...stories, '--concurrency', concurrency]);
    expect(code).toBe(0);
    expect(results.map(({ id }) => id)).toEqual(rows.map(({ id }) => id));
    for (const [i, { json }] of single.entries()) {
      const { text, ids, finish_reason, prompt, prompt_ids, prompt_tokens, generation_tokens } = json;
      const expected = { text, ids, finish_reason, prompt, prompt_ids, prompt_tokens, generation_tokens };
      expect(results[i], `row ${i}`).toMatchObject(expected);
      const { enabled, positions, bytes: size } = json.cache;
      expect(results[i].cache).toMatchObject({ enabled, positions, bytes: size });
      expect(Object.keys(results[i])).toEqual(['id', ...Object.keys(json)]);
    }
  });

  it('greedy ids are those of Hugging Face, with their log-probabilities', async () => {
    const golden = readGolden('untied');
    const cut = [4, 11, 7].map((length, i) => ({ id: i, prompt_ids: golden.prompt_ids.slice(0, length), logprobs: 0 }));
    const { results } = await batch(cut, ['-m', goldenDir('untied'), '--temp', '0', '-n', '8', '--ignore-eos']);
    expect(results[1].ids).toEqual(golden.greedy.slice(0, 8).map(({ id }) => id));
    const near = golden.greedy.slice(0, 8).map(({ logprob }) => expect.closeTo(logprob, 3));
    expect(results[1].tokens.map(({ logprob }: Json) => logprob)).toEqual(near);
  });

  it('options before the file are the rows’ defaults', async () => {
    const path = join(tempDir(), 'rows.jsonl');
    writeFileSync(
      path,
      lines([
        { id: 1, prompt: 'xy' },
        { id: 2, prompt: 'xy', max_tokens: 2 },
      ]),
    );
    const { stdout } = await kvgen(['batch', ...bytes, '-n', '5', '--seed', '9', '--ignore-eos', path]);
    const [first, second] = objects(stdout);
    expect([first.generation_tokens, second.generation_tokens]).toEqual([5, 2]);
    expect(second.ids).toEqual(first.ids.slice(0, 2));
  });

  it('samples come in their order, whichever ends first, and run the prompt once', async () => {
    const row = { id: 1, prompt: 'once upon', samples: 6, seed: 3, stop: ['e', 'a', ' '], max_tokens: 30, logprobs: 0 };
    const { results } = await batch([{ ...row, echo: true }], [...bytes, '--concurrency', '3']);
    expect(results.map(({ sample, seed }) => [sample, seed])).toEqual([0, 1, 2, 3, 4, 5].map((i) => [i, 3 + i]));
    expect(new Set(results.map(({ generation_tokens }) => generation_tokens)).size).toBeGreaterThan(1);
    const shared = results.map(({ load_ms, prompt_ms, cache, prompt_tokens_detail }) =>
      JSON.stringify([load_ms, prompt_ms, cache.prompt, prompt_tokens_detail]),
    );
    expect(new Set(shared).size).toBe(1);
    expect(results[0].prompt_tokens_detail).toHaveLength(results[0].prompt_tokens);
    for (const { first_token_ms, prompt_ms } of results) {
      expect(first_token_ms).toBeGreaterThanOrEqual(prompt_ms);
    }
  });

  it('a row without a cache runs op by op, and says so', async () => {
    const { results } = await batch(
      [{ prompt: 'x', no_cache: true }, { prompt: 'x' }],
      ['-m', BYTES, '--backend', 'node', '--engine', 'auto', '-n', '30', '--ignore-eos'],
      kvgenProcess, // TensorFlow as it is at first
    );
    expect(results.map(({ engine }) => engine)).toEqual(['eager', 'graph']);
  });

  it('a prompt that a row before it ran, or that is on disk, is a hit', async () => {
    const dir = tempDir();
    const rows = [{ prompt: 'once upon a time' }, { prompt: 'once upon a time' }, { prompt: 'once upon a moon' }];
    const cached = [...bytes, '-n', '1', '--concurrency', '1', '--prompt-cache', '--cache-dir', dir];
    const found = async (args: string[]) =>
      (await batch(rows, args)).results.map(({ cache }) => [cache.prompt.result, cache.prompt.miss_reason]);
    expect(await found([...cached, '--no-write-cache'])).toEqual([
      ['miss', expect.any(String)],
      ['hit', null],
      ['partial', null],
    ]);
    expect(await found(cached)).toEqual([
      ['miss', 'nothing is stored yet'],
      ['hit', null],
      ['partial', null],
    ]);
    expect(await found(cached)).toEqual(Array(3).fill(['hit', null]));
    const { stdout } = await kvgen(['cache', 'ls', '--json', '--cache-dir', dir]);
    expect(JSON.parse(stdout).entries.map(({ hits }: Json) => hits)).toEqual([1, 1]);
  });

  it('samples are an object each', async () => {
    const { results } = await batch([
      { id: 1, prompt: 'xy', samples: 2, seed: 5, max_tokens: 3 },
      { id: 2, prompt: 'z' },
    ]);
    expect(results.map(({ id, sample, seed }) => [id, sample, id === 1 ? seed : 0])).toEqual([
      [1, 0, 5],
      [1, 1, 6],
      [2, undefined, 0],
    ]);
  });

  it('what prompts begin with in common is computed once', async () => {
    const shared = 'once upon a time there was a ';
    const { results } = await batch(
      [{ prompt: `${shared}fox` }, { prompt: `${shared}moon` }, { prompt: `${shared}fox` }],
      [...bytes, '-n', '1'],
    );
    const prompts = results.map(({ cache }) => [cache.prompt.reused_tokens, cache.prompt.computed_tokens]);
    const tokens = results.map(({ prompt_tokens }) => prompt_tokens);
    expect(prompts[0]).toEqual([0, tokens[0]]);
    expect(prompts[1]?.[1]).toBeLessThanOrEqual(4);
    expect(prompts[2]).toEqual([tokens[2], 0]);
  });
});

describe('--reorder', () => {
  /** 300 prompts, and 300 more of which each goes on from one of these: too many to be remembered. */
  const scattered = (more: object) =>
    ['', 'b', 'a'].flatMap((end) =>
      Array.from({ length: 300 }, (_, i) => ({ id: `${i}${end}`, prompt: `${i}`.padStart(3, '0') + end, ...more })),
    );
  const simd = ['-m', BYTES, '--backend', 'simd', '--threads', '1'];
  const reused = (results: Json[]) => results.reduce((sum, { cache }) => sum + (cache?.prompt.reused_tokens ?? 0), 0);
  const plan = async (rows: readonly unknown[], args: readonly string[]) => {
    const { code, stdout } = await kvgen(['cache', 'plan', '--json', ...args, '-'], { input: lines(rows) });
    return { code, ...JSON.parse(stdout) };
  };

  it('computes each beginning once; `cache plan` knows that before, and what the order of the file gives', async () => {
    const rows = scattered({ max_tokens: 0 });
    const planned = await plan(rows, ['-m', BYTES]);
    const [inTurn, reordered] = [await batch(rows, simd), await batch(rows, ['--reorder', ...simd])];
    expect(planned).toMatchObject({ code: 0, rows: 900, failed: 0, prompt_tokens: 300 * 11, on_disk_tokens: null });
    const beginnings = 3 + 30 + 300 + 600; // of the digits of 000 to 299, and a or b behind these
    expect(reused(inTurn.results)).toBe(planned.file_order.reused_tokens);
    expect(reused(reordered.results)).toBe(planned.best_order.reused_tokens);
    expect(planned.best_order.computed_tokens).toBe(beginnings);
    expect(planned.file_order.computed_tokens).toBeGreaterThan(beginnings);
    expect(planned.best_order.lines.slice(0, 5)).toEqual([1, 301, 601, 2, 302]);
    expect(reordered.results.map(({ id }) => id)).toEqual(rows.map(({ id }) => id));
  });

  it('gives the same ids, with bad rows in their places', async () => {
    const rows: unknown[] = [1, 2, 3, 4, 5, 6, 7].map((i) => ({
      id: i,
      prompt: i % 2 === 1 ? `odd ${i}` : `even ${i % 4}`,
      max_tokens: 3 * i,
      samples: i === 3 ? 2 : 1,
      seed: i,
      ignore_eos: true,
    }));
    rows.splice(2, 0, 'no JSON');
    rows.push({ id: 'bad' }, { id: 'long', prompt: 'even', max_tokens: 2, seed: 1 });
    const [inTurn, reordered] = [await batch(rows, simd), await batch(rows, ['--reorder', ...simd])];
    const told = ({ results }: { results: Json[] }) =>
      results.map(({ id, line, sample, seed, ids, text, error }) => ({ id, line, sample, seed, ids, text, error }));
    expect(told(reordered)).toEqual(told(inTurn));
    expect([reordered.code, inTurn.code]).toEqual([1, 1]);
    const planned = await plan(rows, ['-m', BYTES]);
    expect(planned).toMatchObject({ code: 1, rows: 8, failed: 2 });
    expect(planned.best_order.lines).toEqual([1, 4, 6, 8, 10, 2, 7, 5]);
    expect(planned.errors).toEqual([
      { line: 3, id: null, error: expect.stringContaining('JSON') },
      { line: 9, id: 'bad', error: 'expected a prompt or prompt_ids, one of the two' },
    ]);
  });

  it('`cache plan` counts what is on disk, as the batch then finds it', async () => {
    const at = [...simd.slice(0, 4), '--prompt-cache', '--cache-dir', tempDir()];
    const rows = ['once upon a time there was a fox', 'once upon a moon', 'the end'].map((prompt) => ({ prompt }));
    await batch(rows.slice(0, 1), [...at, '--keep', 'prompt', '-n', '1']);
    const planned = await plan(rows, at);
    const { results } = await batch(rows, [...at, '--keep', 'prompt', '-n', '1']);
    expect(planned).toMatchObject({ on_disk_tokens: 31 + 12, file_order: { reused_tokens: 31 + 12 } });
    expect(reused(results)).toBe(planned.file_order.reused_tokens);
    const { stdout, stderr } = await kvgen(['cache', 'plan', ...at, '-'], { input: lines([...rows, { id: 1 }]) });
    expect(stdout).toBe(
      [
        'ORDER        TOKENS  REUSED  COMPUTED  SHARE',
        'of the file  53      53      0         100 %',
        'best         53      53      0         100 %',
        'on disk now  53      53      0         100 %',
        'the order of the file is the best one',
        '',
      ].join('\n'),
    );
    expect(stderr).toBe('kvgen: line 4: expected a prompt or prompt_ids, one of the two\n');
  });
});

describe('a bad row', () => {
  const good = { id: 'good', prompt: 'x', max_tokens: 1 };
  it.each<[unknown, object]>([
    ['{"id": 1', { id: null, line: 2, error: expect.stringContaining('JSON') }],
    ['[1]', { id: null, line: 2, error: 'expected a JSON object' }],
    [{ id: 1 }, { id: 1, error: 'expected a prompt or prompt_ids, one of the two' }],
    [
      `{"id":${'['.repeat(5000)}${']'.repeat(5000)},"prompt":"x"}`,
      { id: null, line: 2, error: 'expected JSON nested at most 100 deep, found more' },
    ],
    [
      { id: 1, prompt: 5 },
      { id: 1, error: 'prompt: expected a text, found 5' },
    ],
    [
      { id: [2], prompt: 'x', max_tokens: 1.5 },
      { id: [2], error: 'max_tokens must be a whole number in -1 … 2^53−1, got 1.5' },
    ],
    [
      { id: 1, prompt: 'x', temp: null },
      { id: 1, error: 'temp: expected a number or a text, found null' },
    ],
    [
      { id: 1, prompt: 'x', ignore_eos: 1 },
      { id: 1, error: 'ignore_eos: expected true or false, found 1' },
    ],
    [
      { id: 1, prompt: 'x', on_full: 'wrap' },
      { id: 1, error: 'on_full: expected one of stop, reprefill, found "wrap"' },
    ],
    [
      { id: 1, prompt: 'x', stop: [3] },
      { id: 1, error: 'stop: expected a text or a list of texts, found [3]' },
    ],
    [
      { id: 1, prompt: 'x', model: 'y' },
      { id: 1, error: 'model: is the same for all rows, an option of kvgen batch' },
    ],
    [
      { id: 1, prompt: 'x', separator: 'y' },
      { id: 1, error: 'separator: has no meaning for a row' },
    ],
    [
      { id: 1, prompt_ids: [1.5] },
      { id: 1, error: 'prompt_ids: expected a list of token ids, found [1.5]' },
    ],
    [
      { id: 1, prompt: 'x', logit_bias: { x: 1 } },
      { id: 1, error: 'logit_bias: expected an object of token ids and numbers, or "-inf", found {"x":1}' },
    ],
    [
      { id: 1, prompt: 'x', ctx_size: 1000 },
      { id: 1, error: 'ctx_size 1000: the model has 40 positions; give 40 or less' },
    ],
    [
      { id: 1, prompt: 'x', samples: 3, seed: 2 ** 53 - 1 },
      { id: 1, error: 'seed: seed + samples − 1 must be at most 2^53−1' },
    ],
    [
      '{"id":12345678901234567890,"prompt":"x"}',
      {
        id: 12345678901234567000,
        error: 'id: a number beyond 2^53−1 would be written back as another one; give it as a text',
      },
    ],
    [
      { id: 1, prompt: 'x', maxTokens: 3 },
      { id: 1, error: expect.stringMatching(/^maxTokens: expected id, prompt or an option/) },
    ],
    [
      { id: 1, prompt: 'x'.repeat(99) },
      { id: 1, error: expect.stringContaining('99 tokens and the context 40') },
    ],
    [
      { id: 1, prompt_ids: [5, 999] },
      { id: 1, error: expect.stringContaining('token id 999') },
    ],
    [
      { id: 1, prompt: 'x', logit_bias: { 999: 1 } },
      { id: 1, error: expect.stringContaining('ids end at 287') },
    ],
    [
      { id: 1, prompt: 'x', logit_bias: Object.fromEntries(Array.from({ length: 288 }, (_, id) => [id, '-inf'])) },
      { id: 1, error: expect.stringContaining('every token is banned') },
    ],
    [
      { id: 1, prompt: 'x'.repeat(99), samples: 3 },
      {
        id: 1,
        error: 'the prompt has 99 tokens and the context 40: no room for one more; shorten it, or truncate_prompt head',
      },
    ],
  ])('%j says what is wrong in its place, the others go on, exit 1', async (row, error) => {
    const { code, results, stderr } = await batch([good, row, '', good]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(results).toEqual([
      expect.objectContaining({ id: 'good', text: expect.any(String) }),
      error,
      expect.objectContaining({ id: 'good' }),
    ]);
  });

  it('that is not UTF-8 is one, too', async () => {
    const input = Buffer.concat([
      Buffer.from('{"id":1,"prompt":"'),
      Buffer.of(0xff),
      Buffer.from('"}\n'),
      Buffer.from(lines([good])),
    ]);
    const { code, stdout } = await kvgen(['batch', ...bytes], { input });
    expect(code).toBe(1);
    expect(objects(stdout)).toEqual([
      { id: null, line: 1, error: expect.stringContaining('not UTF-8 at byte 18') },
      expect.objectContaining({ id: 'good' }),
    ]);
  });
});

describe('a strange row', () => {
  const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
  const row = (id: string, rest = '"prompt":"x","max_tokens":1') => `{"id":${id},${rest}}`;
  const tooDeep = 'expected JSON nested at most 100 deep, found more';

  it('is its own error, whatever is in it, and an id comes back as it was', async () => {
    const ids = [nested(100), '{"__proto__":{"x":1}}', '"\\ud800"', '[1e-400,-0.5,{"":null}]'];
    const { code, results, stderr } = await batch([
      ...ids.map((id) => row(id)),
      row(nested(101)),
      row(nested(5000)),
      row('1e400'),
      row('{"a":[9007199254740993]}'),
      row('"a"', `"prompt":${nested(50)}`),
      row('"b"', `"prompt":"x","${'k'.repeat(100_000)}":1`),
      row('"c"', `"prompt":"x","stop":"${'s'.repeat(2 ** 22)}t"`),
      row('"d"', '"prompt":"x","__proto__":1'),
      row('"last"'),
    ]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(results.slice(0, 4).map(({ id }) => id)).toEqual(ids.map((id) => JSON.parse(id)));
    expect(results.slice(4)).toEqual([
      { id: null, line: 5, error: tooDeep },
      { id: null, line: 6, error: tooDeep },
      { id: null, line: 7, error: 'id: expected numbers up to 1.8e308, found a larger one; give it as a text' },
      { id: { a: [9007199254740992] }, error: expect.stringContaining('id: a number beyond 2^53−1') },
      { id: 'a', error: 'prompt: expected a text, found [[[[…]]]]' },
      { id: 'b', error: expect.stringMatching(/^k+ … k+: expected id, prompt or an option of generate, such as/) },
      { id: 'c', error: expect.stringContaining('the stop strings have 4194305 characters in all') },
      { id: 'd', error: expect.stringContaining('__proto__: expected id, prompt or an option of generate') },
      expect.objectContaining({ id: 'last', text: expect.any(String) }),
    ]);
    expect(Math.max(...results.map(({ error }) => error?.length ?? 0))).toBeLessThan(300);
  });
});

describe('pipes', () => {
  it('nothing in, nothing out', async () => {
    expect(await kvgen(['batch', ...bytes], { input: '' })).toMatchObject({ code: 0, stdout: '', stderr: '' });
  });

  it('a byte order mark, CRLF, blank lines and a last line without an end', async () => {
    const text = `\uFEFF{"id":1,"prompt":"x","max_tokens":1}\r\n\r\n{"id":2,"prompt":"x","max_tokens":1}`;
    const { code, stdout } = await kvgen(['batch', ...bytes], { input: text });
    expect({ code, ids: objects(stdout).map(({ id }) => id) }).toEqual({ code: 0, ids: [1, 2] });
  });

  it('a result is there before the next row is', async () => {
    const running = start(['batch', ...bytes, '-n', '2']);
    const result = new Promise<string>((resolve) =>
      running.child.stdout.once('data', (data) => resolve(data.toString())),
    );
    running.child.stdin.write(lines([{ id: 1, prompt: 'x' }]));
    expect(JSON.parse(await result).id).toBe(1);
    running.child.stdin.end(lines([{ id: 2, prompt: 'x' }]));
    expect(await running.end()).toMatchObject({ code: 0 });
  });

  it('reads no further than four times the concurrency ahead of what is written', async () => {
    const dir = writeLongFolder(tempDir());
    const running = start(['batch', '-m', dir, '--backend', 'cpu', '--concurrency', '1', '-n', '0']);
    const row = `${JSON.stringify({ id: 'x'.repeat(300_000), prompt: 'x' })}\n`; // more than a pipe holds
    let taken = 0;
    const feed = async () => {
      while (taken < 200 && running.child.exitCode === null) {
        if (!running.child.stdin.write(row)) {
          await new Promise((resolve) => running.child.stdin.once('drain', resolve));
        }
        taken++;
      }
    };
    const feeding = feed();
    await sleep(500);
    await untilIdle(running.pid); // nobody reads its results
    expect(taken).toBeGreaterThan(0);
    expect(taken).toBeLessThan(20);
    running.child.kill('SIGKILL');
    running.child.stdin.destroy();
    await Promise.race([feeding, sleep(100)]);
  });

  it('a closed one stops it, without a word', async () => {
    const running = start(['batch', ...bytes, '-n', '2', '--verbose']);
    running.child.stdin.write(lines(Array.from({ length: 200 }, (_, id) => ({ id, prompt: 'x'.repeat(20) }))));
    running.child.stdout.once('data', () => running.child.stdout.destroy());
    expect(await running.end()).toMatchObject({ code: 0, stderr: '' }); // stdin is still open
  });

  it('an interrupt ends it with what there is, 130', async () => {
    const dir = writeLongFolder(tempDir());
    const running = start(['batch', '-m', dir, '--backend', 'cpu', '-n', '-1', '--ignore-eos']);
    running.child.stdin.write(
      lines([
        { id: 1, prompt: 'x', max_tokens: 1 },
        { id: 2, prompt: 'y' },
      ]),
    );
    running.child.stdout.once('data', () => running.child.kill('SIGINT'));
    const { code, stdout } = await running.end();
    expect(code).toBe(130);
    expect(objects(stdout).map(({ id, finish_reason }) => [id, finish_reason])).toEqual([
      [1, 'length'],
      [2, 'abort'],
    ]);
  });

  it('an interrupt ends it with the samples that were running', async () => {
    const dir = writeLongFolder(tempDir());
    const args = ['batch', '-m', dir, '--backend', 'cpu', '-n', '-1', '--ignore-eos', '--concurrency', '2'];
    const running = start([...args, '--echo', '--logprobs', '0']);
    running.child.stdin.write(
      lines([
        { id: 0, prompt: 'x', max_tokens: 1 },
        { id: 1, prompt: 'y', samples: 4, seed: 1 },
      ]),
    );
    running.child.stdout.once('data', async () => {
      await sleep(300);
      running.child.kill('SIGINT');
    });
    const { code, stdout } = await running.end();
    expect(code).toBe(130);
    expect(objects(stdout).map(({ id, sample, finish_reason }) => [id, sample, finish_reason])).toEqual([
      [0, undefined, 'length'],
      [1, 0, 'abort'],
      [1, 1, 'abort'],
    ]);
  });

  it('a slow reader gets whole rows, in order', async () => {
    const samples = { id: 'many', prompt: 'ab '.repeat(9), samples: 60, max_tokens: 1, logprobs: 100 };
    const bad = Array.from({ length: 20 }, (_, id) => ({ id }));
    const running = start(['batch', ...bytes, '--concurrency', '2', '--ignore-eos']);
    running.child.stdin.end(lines([{ id: 'first', prompt: 'x', max_tokens: 30 }, samples, ...bad]));
    await sleep(500);
    await untilIdle(running.pid);
    const { stdout } = await running.end();
    const ids = objects(stdout).map(({ id }) => id);
    expect(ids).toEqual(['first', ...Array(60).fill('many'), ...bad.map(({ id }) => id)]);
  });

  it.skipIf(!hasProc)('a named pipe whose writer is silent can be left', async () => {
    const path = join(tempDir(), 'rows');
    execFileSync('mkfifo', [path]);
    const running = start(['batch', ...bytes, '-n', '1', path]);
    const writer = openSync(path, 'r+'); // else opening it would wait for a reader
    writeSync(writer, lines([{ id: 1, prompt: 'x' }]));
    running.child.stdout.once('data', () => running.child.kill('SIGINT'));
    const { code, stdout } = await running.end();
    closeSync(writer);
    expect([code, objects(stdout).map(({ id }) => id)]).toEqual([130, [1]]);
  });

  it('a folder cannot be read', async () => {
    const { code, stderr } = await kvgen(['batch', ...bytes, tempDir()]);
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/^kvgen: .*: the rows cannot be read \(it is a folder\); .*\n$/),
    ]);
  });

  it('a file that is not there is an error before anything is loaded', async () => {
    const { code, stderr } = await kvgen(['batch', '/no/such/rows.jsonl']);
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/^kvgen: \/no\/such\/rows\.jsonl: the rows cannot be read \(there is no such file\)\n$/),
    ]);
  });
});

describe('on stderr', () => {
  it('one line of statistics', async () => {
    const { stderr } = await batch([{ prompt: 'x', max_tokens: 3 }, 'bad'], [...bytes, '--ignore-eos', '--verbose']);
    expect(stderr).toMatch(/^2 rows \(1 failed\) · 3 tokens · \d+ tok\/s · \d+\.\d s\n$/);
  });

  it.skipIf(!hasPython)('a bar on a terminal, with rows, tokens a second and the time left', async () => {
    const path = join(tempDir(), 'rows.jsonl');
    const rows = Array.from({ length: 12 }, (_, id) => ({
      id,
      prompt: 'Once',
      max_tokens: 30,
      ignore_eos: true,
      seed: id,
    }));
    writeFileSync(path, lines(rows));
    const { code, terminal, stdout } = await kvgenOnTerminal(
      ['batch', '--backend', 'simd', '--concurrency', '2', path],
      {
        terminal: ['stderr'],
      },
    );
    expect(code).toBe(0);
    expect(objects(stdout).map(({ id }) => id)).toEqual(rows.map(({ id }) => id));
    expect(terminal).toMatch(/█+░+ · \d+ rows? · \d+ tokens · \d+ tok\/s · \d+ s left/);
    expect(terminal).toMatch(/12 rows · 360 tokens · \d+ tok\/s · \d+\.\d s/);
  });

  it.skipIf(!hasPython)('usage, on a terminal without rows: exit 2', async () => {
    const { code, terminal } = await kvgenOnTerminal(['batch'], { terminal: ['stdin', 'stderr'] });
    expect(code).toBe(2);
    expect(terminal).toContain('Usage: kvgen batch [options] [file]\n');
  });
});

it.each([
  [['--concurrency', '0'], '--concurrency must be a whole number in 1 … 256, got 0'],
  [['--json'], "unknown option '--json'; `kvgen batch --help` lists what there is"],
  [['-q', '--verbose'], '--quiet cannot go with --verbose'],
  [['--no-cache', '--prompt-cache'], '--no-cache cannot go with --prompt-cache'],
])('kvgen batch %j: exit 2', async (args, message) => {
  expect(await kvgen(['batch', ...args])).toMatchObject({ code: 2, stdout: '', stderr: `kvgen: ${message}\n` });
});
