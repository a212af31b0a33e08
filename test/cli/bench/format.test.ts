// How several machines are shown beside each other. How one is: test/cli/bench/bench.test.ts.

import { Chalk } from 'chalk';
import { describe, expect, it } from 'vitest';
import { withColors } from '../../../src/cli/bench/chart.js';
import { type BenchRun, formatResults, jsonLine } from '../../../src/cli/bench/format.js';
import type { Result } from '../../../src/cli/bench/measure.js';
import { visible } from '../run.js';

const ABOUT = { model: 'toy', parameters: 1500, versions: { kvgen: '0', node: '20' } };

function result(depth: number, ms: number, cache = true): Result {
  const rates = { tps_median: 1000 / ms, tps_mean: 1000 / ms, tps_sd: 0, ms_per_token: ms };
  return { name: cache ? 'tg4' : 'tg3', phase: 'decode', cache, depth, tokens: cache ? 4 : 3, repeat: 3, ...rates };
}

const NODE: BenchRun = {
  backend: 'node',
  engine: 'graph',
  threads: 1,
  weights: 'float32',
  results: [result(0, 4), result(8, 5), result(8, 20, false)],
};
const SIMD: BenchRun = {
  backend: 'simd',
  engine: 'simd',
  threads: 2,
  weights: 'int8',
  results: [result(0, 1), result(8, 2), result(8, 12, false)],
};
const RUNS = [NODE, SIMD];

describe('several machines', () => {
  it('table: a column for backend and weights, point by point; what the cache is worth on each; a line each', () => {
    const [head, table, gains, chart] = formatResults('table', ABOUT, RUNS).split('\n\n');
    expect(head).toBe('toy · 1.5 k parameters · node, graph, 1 thread · simd, 2 threads, int8 weights');
    expect(table?.split('\n')).toEqual(
      [
        'test  cache  depth  backend  weights   tok/s    mean ± sd  ms/token',
        'tg4   yes        0  node     float32   250.0  250.0 ± 0.0     4.000',
        'tg4   yes        0  simd     int8     1000.0  1000.0 ± 0.0     1.000',
        'tg4   yes        8  node     float32   200.0  200.0 ± 0.0     5.000',
        'tg4   yes        8  simd     int8      500.0  500.0 ± 0.0     2.000',
        'tg3   no         8  node     float32    50.0   50.0 ± 0.0      20.0',
        'tg3   no         8  simd     int8       83.3   83.3 ± 0.0      12.0',
      ].map((row) => expect.stringMatching(new RegExp(`^${row.split(/ +/).join(' +')}$`))),
    );
    expect(gains?.split('\n')).toEqual([
      'node float32: with the cache a token at depth 8 comes 4.0 times as fast as without.',
      'simd int8: with the cache a token at depth 8 comes 6.0 times as fast as without.',
    ]);
    expect(chart).toMatch(/^milliseconds per token over depth {3}● node float32 {3}○ simd int8\n/);
    const rows = chart?.split('\n').slice(1) ?? [];
    const [first, last] = [rows.findIndex((row) => row.includes('●')), rows.findIndex((row) => row.includes('○'))];
    expect(first).toBeGreaterThanOrEqual(0);
    expect(last).toBeGreaterThan(first); // the faster one lies below
  });

  it('each line of the chart has a colour of its own, in its legend too; only colours are added', () => {
    const table = formatResults('table', ABOUT, RUNS);
    const colored = withColors(table, new Chalk({ level: 2 }));
    expect(colored).toContain('\u001b[38;5;27m●\u001b[39m node float32   \u001b[38;5;136m○\u001b[39m simd int8\n');
    expect(visible(colored).replace(/␛\[[\d;]+m/g, '')).toBe(table);
    expect(colored.match(/38;5;27m●+/g)?.length).toBe(table.match(/●+/g)?.length);
    expect(visible(colored)).toMatch(/\n *␛\[2m▲␛\[22m\n/);
    expect(withColors(table, new Chalk({ level: 0 }))).toBe(table);
  });

  it('md has the same columns', () => {
    const rows = formatResults('md', ABOUT, RUNS).split('\n');
    expect(rows).toHaveLength(2 + 2 + 6);
    expect(rows[2]).toMatch(/^\| test \| cache \| depth \| backend \| weights \| +tok\/s \|/);
    expect(rows[3]).toMatch(/^\| -+ \| -+ \| -+: \| -+ \| -+ \| -+: \|/);
  });

  it('csv: four more columns in front', () => {
    const rows = formatResults('csv', ABOUT, RUNS).split('\n');
    expect(rows[0]).toMatch(/^backend,engine,threads,weights,name,phase,cache,depth,tokens,/);
    expect(rows.slice(1, 3)).toEqual([
      'node,graph,1,float32,tg4,decode,true,0,4,3,250,250,0,4',
      'simd,simd,2,int8,tg4,decode,true,0,4,3,1000,1000,0,1',
    ]);
    expect(rows).toHaveLength(7);
  });

  it('json: a list of runs', () => {
    const report = JSON.parse(formatResults('json', ABOUT, RUNS));
    expect(Object.keys(report)).toEqual(['model', 'parameters', 'versions', 'runs', 'peak_rss_bytes']);
    expect(report.runs).toEqual(RUNS);
    expect(Object.keys(report.runs[0])).toEqual(['backend', 'engine', 'threads', 'weights', 'results']);
  });

  it('jsonl: each line says what it was measured on', () => {
    const { results, ...machine } = SIMD;
    const line = JSON.parse(jsonLine(ABOUT, machine, results[0] as Result));
    expect(line).toEqual({ model: 'toy', parameters: 1500, ...machine, ...results[0] });
    expect(Object.keys(line).slice(0, 7).join()).toBe('model,parameters,backend,engine,threads,weights,name');
  });
});

it('one machine with int8 weights says so, and has no columns more', () => {
  const table = formatResults('table', ABOUT, [SIMD]);
  expect(table).toMatch(/^toy · 1\.5 k parameters · simd, 2 threads, int8 weights\n\ntest +cache +depth +tok\/s/);
  expect(table).toContain('\nWith the cache a token at depth 8 comes 6.0 times as fast as without.\n');
  expect(table).toContain('● with the cache');
  expect(formatResults('csv', ABOUT, [SIMD])).toMatch(/^name,phase,/);
});
