// --samples: several texts of one prompt, each the one that its seed gives alone.

import { describe, expect, it } from 'vitest';
import { tempDirs } from '../../support/temp-dir.js';
import { BYTES } from '../folders.js';
import { kvgenHere as kvgen, kvgenJsonHere as kvgenJson } from '../here.js';
import { start } from '../run.js';

const tempDir = tempDirs();
const PROMPT = 'Once upon a time';
const simd = ['--backend', 'simd', '--threads', '1'];
const noise = ['-m', BYTES, '--backend', 'cpu', '--ignore-eos', '-n', '6'];

// biome-ignore lint/suspicious/noExplicitAny: what is checked is what it is
type Json = any;

const objects = (stdout: string): Json[] =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

/** The texts that these seeds give alone. */
async function alone(args: readonly string[], seeds: readonly number[]): Promise<string[]> {
  const runs = await Promise.all(seeds.map((seed) => kvgen([...args, '--seed', String(seed)])));
  return runs.map(({ stdout }) => stdout);
}

describe('the texts', () => {
  it.each([[[]], [['--no-stream']], [['--no-cache']], [['--backend', 'node', '--engine', 'graph']], [['--echo']]])(
    'are those of the seeds one by one, a line between them: %j',
    async (more) => {
      const args = [...simd, '-n', '20', ...more, PROMPT];
      const [{ stdout }, texts] = await Promise.all([
        kvgen([...args, '--seed', '7', '--samples', '3']),
        alone(args, [7, 8, 9]),
      ]);
      expect(stdout).toBe(texts.join('---\n'));
    },
  );

  it('may end at different times: one by a stop string, one by its length', async () => {
    const args = [...simd, '-n', '40', '--stop', '.', '--temp', '1.2', PROMPT];
    const texts = await alone(args, [1, 2, 3, 4]);
    expect(new Set(texts.map((text) => text.length)).size).toBeGreaterThan(1);
    const separator = 'next one 🎉';
    const { stdout } = await kvgen([...args, '--seed', '1', '--samples', '4', '--separator', separator]);
    expect(stdout).toBe(texts.join(`${separator}\n`));
  });

  it('have one line of statistics', async () => {
    const { stderr } = await kvgen([...noise, '--seed', '3', '--samples', '2', '--verbose', 'xy']);
    expect(stderr).toMatch(
      /^2 samples, 12 tokens · \d+ tok\/s · prompt 2 tokens \(0 reused\) · cache 14 positions, 0\.0 MB · seeds 3 to 4\n$/,
    );
  });
});

describe('the JSON forms', () => {
  it('--json: an object a line, in order, each what its seed gives alone', async () => {
    const args = [...noise, '--logprobs', '1', '--echo', 'xy'];
    const [{ stdout }, ...single] = await Promise.all([
      kvgen(['--json', ...args, '--seed', '5', '--samples', '3']),
      ...[5, 6, 7].map((seed) => kvgenJson([...args, '--seed', String(seed)])),
    ]);
    const found = objects(stdout);
    expect(found.map(({ sample, seed }) => [sample, seed])).toEqual([0, 1, 2].map((i) => [i, 5 + i]));
    for (const [i, { json }] of single.entries()) {
      const { text, ids, finish_reason, prompt_tokens_detail, cache, generation_tokens } = json;
      expect(found[i]).toMatchObject({ text, ids, finish_reason, cache, generation_tokens });
      expect(Object.keys(found[i])).toEqual(['sample', ...Object.keys(json)]);
      const near = (tokens: Json[]) => tokens.map(({ id, logprob }) => [id, logprob && expect.closeTo(logprob, 4)]);
      expect(found[i].tokens.map(({ id, logprob }: Json) => [id, logprob])).toEqual(near(json.tokens));
      expect(found[i].prompt_tokens_detail).toEqual(prompt_tokens_detail);
    }
  });

  it('one sample is a sample where it was asked for', async () => {
    const { json } = await kvgenJson([...noise, '--samples', '1', 'xy']);
    expect(json.sample).toBe(0);
  });

  it('times are those of the prompt that all share', async () => {
    const found = objects((await kvgen(['--json', '--backend', 'node', '--samples', '3', '-n', '5', PROMPT])).stdout);
    const [first] = found;
    for (const { load_ms, prompt_ms, first_token_ms, num_tensors } of found) {
      expect([load_ms, prompt_ms]).toEqual([first.load_ms, first.prompt_ms]);
      expect(first_token_ms).toBeGreaterThanOrEqual(prompt_ms);
      expect(num_tensors[1]).toBe(num_tensors[0]);
    }
  });

  it('--jsonl: events of all, as they come, and an end for each', async () => {
    const { stdout } = await kvgen(['--jsonl', ...noise, '--seed', '5', '--samples', '2', 'xy']);
    const events = objects(stdout);
    const tokens = events.filter(({ type }) => type === 'token');
    expect(tokens.slice(0, 3).map(({ sample, index }) => [sample, index])).toEqual([
      [0, 0],
      [1, 0],
      [0, 1],
    ]);
    for (const done of events.filter(({ type }) => type === 'done')) {
      const own = tokens.filter(({ sample }) => sample === done.sample);
      expect(own.map(({ id }) => id)).toEqual(done.ids);
      expect(own.map(({ text }) => text).join('')).toBe(done.text);
    }
  });
});

describe('with what is kept', () => {
  it('the prompt is read once, and all samples say so', async () => {
    const args = [
      '--json',
      '--prompt-cache',
      '--cache-dir',
      tempDir(),
      ...noise,
      '--seed',
      '1',
      '--samples',
      '2',
      'xyz',
    ];
    const results = async () => objects((await kvgen(args)).stdout).map(({ cache }) => cache.prompt.result);
    expect(await results()).toEqual(['miss', 'miss']);
    expect(await results()).toEqual(['hit', 'hit']);
  });

  it('the answer is all of them', async () => {
    const args = ['--answer-cache', '--cache-dir', tempDir(), ...noise, '--seed', '1', '--samples', '3', 'xyz'];
    const [first, second] = [await kvgen(args), await kvgen(['--verbose', ...args])];
    expect(second.stdout).toBe(first.stdout);
    expect(second.stderr).toMatch(/^3 samples, 18 tokens .* · seeds 1 to 3 · answer from the cache\n$/);
    const other = await kvgen(['--verbose', ...args.slice(0, -2), '2', 'xyz']);
    expect(other.stderr).not.toContain('from the cache');
  });
});

it('an interrupt ends all of them, each with what there is', async () => {
  const endless = [...simd, '-n', '-1', '--on-full', 'reprefill', '--ignore-eos', '--samples', '2', '--jsonl', PROMPT];
  const running = start(endless);
  running.child.stdout.once('data', () => running.child.kill('SIGINT'));
  const { code, stdout } = await running.end();
  expect(code).toBe(130);
  const done = objects(stdout).filter(({ type }) => type === 'done');
  expect(done.map(({ sample, finish_reason }) => [sample, finish_reason])).toEqual([
    [0, 'abort'],
    [1, 'abort'],
  ]);
});
