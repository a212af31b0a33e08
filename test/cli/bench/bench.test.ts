// `kvgen bench`: what it prints and how the numbers belong together. How large they are is the machine's.

import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { TINY, writeModel } from '../../support/model-folder.js';
import { tempDirs } from '../../support/temp-dir.js';
import { kvgenHere as kvgen } from '../here.js';
import { type Ended, hasPython, kvgenOnTerminal, start } from '../run.js';

/** Numbers that nobody compares need no steady state; the processes at the end of this file come to it. */
vi.mock('../../../src/cli/bench/settle.js', () => ({ settle: async () => {} }));

const tempDir = tempDirs();
/** 24 positions, no tokenizer. */
let dir: string;
const SMALL = ['--prompt-tokens', '4,8', '--gen-tokens', '5', '--depth', '0,6,12', '--repeat', '3'];

beforeAll(() => {
  dir = writeModel(tempDir());
});

function bench(args: readonly string[], model = dir): Promise<Ended> {
  return kvgen(['bench', '-m', model, '--backend', 'cpu', ...args]);
}

async function benchJson(args: readonly string[], model = dir) {
  const ended = await bench([...args, '--format', 'json'], model);
  expect(ended).toMatchObject({ code: 0, stderr: '' });
  expect(ended.stdout.indexOf('\n')).toBe(ended.stdout.length - 1);
  return JSON.parse(ended.stdout);
}

describe('--format json', () => {
  it('has the fields of the contract, in points of the right kind', async () => {
    const report = await benchJson(SMALL);
    expect(Object.keys(report)).toEqual([
      'model',
      'parameters',
      'backend',
      'engine',
      'threads',
      'weights',
      'versions',
      'results',
      'peak_rss_bytes',
    ]);
    expect(report).toMatchObject({ backend: 'cpu', engine: 'eager', threads: 1, weights: 'float32' });
    const { vocab_size: V, n_positions: P, n_embd: C, n_layer: L } = TINY;
    expect(report.parameters).toBe(V * C + P * C + L * (12 * C * C + 13 * C) + 2 * C);
    expect(report.versions).toMatchObject({ kvgen: expect.any(String), node: process.versions.node, tfjs: '4.22.0' });
    expect(report.peak_rss_bytes).toBeGreaterThan(10e6);
    const points = report.results.map(({ name, phase, cache, depth, tokens, repeat }: Record<string, unknown>) =>
      [name, phase, cache, depth, tokens, repeat].join(),
    );
    expect(points).toEqual([
      'pp4,prefill,true,0,4,3',
      'pp8,prefill,true,0,8,3',
      'tg5,decode,true,0,5,3',
      'tg3,decode,false,0,3,3',
      'tg5,decode,true,6,5,3',
      'tg3,decode,false,6,3,3',
      'tg5,decode,true,12,5,3',
      'tg3,decode,false,12,3,3',
    ]);
  });

  it('has numbers that belong together', async () => {
    const { results } = await benchJson(SMALL);
    for (const result of results) {
      expect(Object.keys(result)).toEqual(
        'name phase cache depth tokens repeat tps_median tps_mean tps_sd ms_per_token'.split(' '),
      );
      expect(result.tps_median).toBeGreaterThan(0);
      expect((result.tps_median * result.ms_per_token) / 1000).toBeCloseTo(1, 2);
      expect(result.tps_sd).toBeGreaterThanOrEqual(0);
      // Of three numbers none is further from the mean than 2/√3 standard deviations.
      expect(Math.abs(result.tps_median - result.tps_mean)).toBeLessThanOrEqual(1.1548 * result.tps_sd + 0.002);
    }
  });

  it('measures once, without a deviation, and the cache alone, when asked to', async () => {
    const { results } = await benchJson([...SMALL, '--repeat', '1', '--warmup', '0', '--cached-only']);
    expect(results).toHaveLength(5);
    for (const result of results) {
      expect(result).toMatchObject({ cache: true, repeat: 1, tps_sd: 0, tps_mean: result.tps_median });
    }
  });

  it('--profile: the parts of a step, no text without a tokenizer', async () => {
    const { results } = await benchJson([...SMALL, '--profile']);
    const profiled = results.filter((result: object) => 'profile' in result);
    expect(profiled.map(({ name, depth }: { name: string; depth: number }) => `${name} ${depth}`)).toEqual([
      'tg5 0',
      'tg5 6',
      'tg5 12',
    ]);
    for (const { profile } of profiled) {
      expect(Object.keys(profile)).toEqual(['feed_ms', 'graph_ms', 'read_ms', 'sample_ms', 'text_ms']);
      expect(profile.text_ms).toBeNull();
      expect(profile.graph_ms).toBeGreaterThan(0);
    }
  });

  it('takes the depths and prompts that fit where none are given', async () => {
    const { results } = await benchJson(['--gen-tokens', '8']);
    expect(results.map(({ name, depth }: { name: string; depth: number }) => `${name} ${depth}`)).toEqual([
      'tg8 0',
      'tg3 0',
    ]);
  });

  it('0 leaves a kind out', async () => {
    const decode = await benchJson(['--prompt-tokens', '0', '--gen-tokens', '2', '--cached-only']);
    expect(decode.results.map(({ phase }: { phase: string }) => phase)).toEqual(['decode']);
    const prefill = await benchJson(['--prompt-tokens', '3', '--gen-tokens', '0']);
    expect(prefill.results.map(({ phase }: { phase: string }) => phase)).toEqual(['prefill']);
  });

  it('on the native engine: the graph, unless eager is asked for', async () => {
    const args = ['--gen-tokens', '2', '--cached-only', '--repeat', '1', '--threads', '2', '--backend', 'node'];
    expect(await benchJson(args)).toMatchObject({ backend: 'node', engine: 'graph', threads: 2 });
    expect(await benchJson([...args, '--engine', 'eager'])).toMatchObject({ backend: 'node', engine: 'eager' });
  });
});

describe('random models', () => {
  it('are made in memory, with the sizes of their name', async () => {
    const report = await benchJson(['--prompt-tokens', '4', '--gen-tokens', '2', '--depth', '0'], 'random:2x64');
    expect(report.model).toBe('random:2x64');
    expect(report.parameters).toBe(4096 * 64 + 1024 * 64 + 2 * (12 * 64 * 64 + 13 * 64) + 2 * 64);
  });

  it.each([
    ['random:', 2],
    ['random:124m', 2],
    ['random:0x64', 2],
    ['random:2x', 2],
    ['random:2x65', 2],
    ['random:2x544', 2],
    ['random:999x99968', 1],
  ])('%s is refused', async (model, code) => {
    const ended = await bench([], model);
    expect(ended).toMatchObject({ code, stdout: '' });
    expect(ended.stderr).toMatch(new RegExp(`^kvgen: .*${model}.*\n$`));
  });
});

describe('the other forms', () => {
  const args = [...SMALL, '--repeat', '1'];

  it('jsonl: a line for each result, complete in itself', async () => {
    const { code, stdout } = await bench([...args, '--format', 'jsonl']);
    expect(code).toBe(0);
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toHaveLength(8);
    for (const line of lines) {
      expect(line).toMatchObject({
        backend: 'cpu',
        engine: 'eager',
        threads: 1,
        weights: 'float32',
        parameters: expect.any(Number),
      });
      expect(line.tps_median).toBeGreaterThan(0);
    }
  });

  it.each([[false], [true]])('csv: a head and as many cells in every row, profile %s', async (profile) => {
    const { stdout } = await bench([...args, '--format', 'csv', ...(profile ? ['--profile'] : [])]);
    const rows = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(','));
    expect(rows).toHaveLength(9);
    expect(new Set(rows.map((row) => row.length))).toEqual(new Set([profile ? 15 : 10]));
    expect(rows[0]?.slice(0, 5)).toEqual(['name', 'phase', 'cache', 'depth', 'tokens']);
    expect(rows.slice(1).every((row) => Number(row[6]) > 0)).toBe(true);
  });

  it('md: a table', async () => {
    const { stdout } = await bench([...args, '--format', 'md']);
    const rows = stdout.split('\n').filter((line) => line.startsWith('|'));
    expect(rows).toHaveLength(10);
    expect(rows[0]).toMatch(/^\| test \| cache \| depth \| +tok\/s \|/);
    expect(rows[1]).toMatch(/^\| -+ \| -+ \| -+: \|/);
    expect(new Set(rows.map((row) => row.split('|').length)).size).toBe(1);
  });

  it('table: what the cache is worth, and a chart, in text alone', async () => {
    const { stdout, stderr } = await bench(args);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^\S+ · 2\.2 k parameters · cpu, eager, 1 thread\n\ntest /);
    expect(stdout).toMatch(/\nWith the cache a token at depth 12 comes \d+\.\d times as fast as without\.\n/);
    expect(stdout).toContain('milliseconds per token over depth   ● with the cache   ○ without');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is the point
    expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
    const chart = stdout.slice(stdout.indexOf('▲'));
    for (const symbol of ['●', '○']) {
      expect(chart.split(symbol).length).toBeGreaterThan(10);
    }
    expect(chart).toMatch(/\n +0 +6 +12\n$/);
  });

  it('table: no chart of a single depth, one line without the uncached', async () => {
    expect((await bench(['--gen-tokens', '2'])).stdout).not.toContain('milliseconds per token');
    const { stdout } = await bench([...args, '--cached-only']);
    expect(stdout).toContain('milliseconds per token over depth   ● with the cache\n');
    expect(stdout).not.toContain('○');
  });
});

describe('what is refused', () => {
  it.each([
    [['--depth', '20'], 1, "--depth 20 and --gen-tokens 32 need more than the model's 24 positions; give less"],
    [[], 1, "--depth 0 and --gen-tokens 32 need more than the model's 24 positions; give less"],
    [['--gen-tokens', '2', '--prompt-tokens', '25'], 1, '--prompt-tokens 25'],
    [['--depth', '1,x'], 2, '--depth must be a whole number'],
    [['--depth', ''], 2, '--depth'],
    [['--repeat', '0'], 2, '--repeat must be a whole number in 1 … 1000, got 0'],
    [['--format', 'xml'], 2, '--format'],
    [['--gen-tokens', '-1'], 2, '--gen-tokens'],
    [['--quiet', '--verbose'], 2, '--quiet cannot go with --verbose'],
    [['--no-cache'], 2, '--no-cache'],
    [['words'], 2, 'expected at most 0 arguments'],
    [['--backend', 'node,gpu'], 2, '--backend must be some of auto, node, simd, cpu, with commas between them'],
    [['--weights', ''], 2, '--weights must be some of float32, int8, with commas between them, got ""'],
    [['--backend', 'node,cpu', '--weights', 'int8'], 2, '--weights int8 cannot go with --backend node'],
    [['--backend', 'node,cpu', '--gen-tokens', '2'], 2, '--backend: node and cpu are both TensorFlow.js'],
    [['--engine', 'graph'], 2, '--engine graph cannot go with --backend cpu'],
  ] as const)('%j', async (args, code, message) => {
    const extra = args.includes('graph' as never) ? ['--gen-tokens', '2'] : [];
    const ended = await bench([...args, ...extra]);
    expect(ended).toMatchObject({ code, stdout: '' });
    expect(ended.stderr).toMatch(/^kvgen: .*\n$/);
    expect(ended.stderr).toContain(message);
  });

  it('a list in the environment, by the name of its variable', async () => {
    const wrong = await kvgen(['bench', '-m', dir], { env: { KVGEN_BACKEND: 'node,gpu' } });
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringMatching(/^kvgen: KVGEN_BACKEND must be some of /) });
  });

  it('of several pairs only those that cannot be: they are left out with a note', async () => {
    const ended = await bench(['--gen-tokens', '2', '--cached-only', '--format', 'json', '--weights', 'float32,int8']);
    expect(ended).toMatchObject({ code: 0, stderr: 'kvgen: left out: --weights int8 cannot go with --backend cpu\n' });
    expect(JSON.parse(ended.stdout)).toMatchObject({ backend: 'cpu', weights: 'float32' });
  });

  it('a folder that is none', async () => {
    const missing = join(tempDir(), 'none');
    expect(await bench([], missing)).toMatchObject({ code: 1, stdout: '' });
    expect(existsSync(missing)).toBe(false);
    mkdirSync(missing);
    expect((await bench([], missing)).stderr).toContain('no config.json: found nothing, the folder is empty');
  });
});

describe('while it runs', () => {
  it('Ctrl-C ends it between two steps', async () => {
    const running = start([
      'bench',
      '-m',
      dir,
      '--backend',
      'cpu',
      '--gen-tokens',
      '2',
      '--format',
      'jsonl',
      '--repeat',
      '1000',
    ]);
    running.child.stdin.end();
    await new Promise((resolve) => running.child.stdout.once('readable', resolve));
    running.child.kill('SIGINT');
    const { code, stderr } = await running.end();
    expect([code, stderr]).toEqual([130, '']);
  });

  it.skipIf(!hasPython)('progress goes to the terminal, and the table alone to stdout', async () => {
    const args = ['bench', '-m', dir, '--backend', 'cpu', ...SMALL];
    const { code, terminal, stdout } = await kvgenOnTerminal(args, { terminal: ['stderr'], columns: 80 });
    expect(code).toBe(0);
    expect(terminal).toContain('tg5 at depth 6: 2/3');
    expect(terminal).toContain('tg3 at depth 12 without the cache: warm-up');
    expect(stdout).toMatch(/^\S+ · 2\.2 k parameters/);
  });
});
