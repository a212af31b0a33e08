// Results as text: a table for people, Markdown, CSV, JSON, JSON lines. The fields of the JSON are a contract with
// other programs. Knows nothing of how results are measured.

import { type Machine, machineWords } from '../../library/machine.js';
import type { BenchArgs } from '../shell/command-settings.js';
import { jsonText } from '../shell/escape.js';
import { type ChartLine, depthChart } from './chart.js';
import { machineName } from './combinations.js';
import type { Result } from './measure.js';
import { PARTS } from './profile.js';

/** What the results are about. */
export interface Subject {
  readonly model: string;
  readonly parameters: number;
  readonly versions: Readonly<Record<string, string>>;
}

/** What was measured on. */
export interface BenchMachine extends Machine {
  readonly engine: string;
}

/** All results of one machine. Those of several machines are of the same points. */
export interface BenchRun extends BenchMachine {
  readonly results: readonly Result[];
}

/** The whole output without its last newline; for jsonl see `jsonLine`. */
export function formatResults(
  format: Exclude<BenchArgs['format'], 'jsonl'>,
  subject: Subject,
  runs: readonly BenchRun[],
): string {
  switch (format) {
    case 'table':
      return [headline(subject, runs), table(runs), gains(runs), chart(runs)]
        .filter((part) => part !== undefined && part !== '')
        .join('\n\n');
    case 'md':
      return [headline(subject, runs), markdown(runs)].join('\n\n');
    case 'csv':
      return csv(runs);
    case 'json':
      return json(subject, runs);
  }
}

/** The line of one result, which can be read without the others. */
export function jsonLine({ model, parameters }: Subject, machine: BenchMachine, result: Result): string {
  return jsonText({ model, parameters, ...machineFields(machine), ...result });
}

function json({ model, parameters, versions }: Subject, runs: readonly BenchRun[]): string {
  const peak = { peak_rss_bytes: process.resourceUsage().maxRSS * 1024 };
  const [{ results, ...machine }] = runs as [BenchRun];
  return jsonText(
    runs.length === 1
      ? { model, parameters, ...machineFields(machine), versions, results, ...peak }
      : { model, parameters, versions, runs: runs.map(runFields), ...peak },
  );
}

function runFields({ results, ...machine }: BenchRun): object {
  return { ...machineFields(machine), results };
}

function machineFields({ backend, engine, threads, weights }: BenchMachine): object {
  return { backend, engine, threads, weights };
}

function headline({ model, parameters, versions }: Subject, runs: readonly BenchRun[]): string {
  const size = parameters >= 1e6 ? `${(parameters / 1e6).toFixed(1)} M` : `${(parameters / 1e3).toFixed(1)} k`;
  const tensorflow = versions.tensorflow === undefined ? [] : [`TensorFlow ${versions.tensorflow}`];
  return [model, `${size} parameters`, ...runs.map((run) => machineWords(run, run.engine)), ...tensorflow].join(' · ');
}

/** A result, and what it was measured on. */
interface Row {
  readonly run: BenchRun;
  readonly result: Result;
}

interface Column {
  readonly name: string;
  /** Words stand to the left of their column, numbers to the right. */
  readonly isText?: true;
  readonly cell: (row: Row) => string;
}

const POINT: readonly Column[] = [
  { name: 'test', isText: true, cell: ({ result: { name } }) => name },
  {
    name: 'cache',
    isText: true,
    cell: ({ result: { phase, cache } }) => (phase === 'prefill' ? '' : cache ? 'yes' : 'no'),
  },
  { name: 'depth', cell: ({ result: { depth } }) => String(depth) },
];

const MACHINE: readonly Column[] = [
  { name: 'backend', isText: true, cell: ({ run: { backend } }) => backend },
  { name: 'weights', isText: true, cell: ({ run: { weights } }) => weights },
];

const RATES: readonly Column[] = [
  { name: 'tok/s', cell: ({ result: { tps_median } }) => tps_median.toFixed(1) },
  {
    name: 'mean ± sd',
    cell: ({ result: { tps_mean, tps_sd } }) => `${tps_mean.toFixed(1)} ± ${tps_sd.toFixed(1)}`,
  },
  {
    name: 'ms/token',
    cell: ({ result: { ms_per_token: ms } }) => ms.toFixed(ms < 10 ? 3 : 1),
  },
];

const PROFILE: readonly Column[] = PARTS.map((part) => ({
  name: `${part} ms`,
  cell: ({ result: { profile } }) => profile?.[`${part}_ms`]?.toFixed(3) ?? '',
}));

/** Machines have columns only where there are several, the parts of a decode step only where they were measured. */
function columns(runs: readonly BenchRun[]): readonly Column[] {
  return [...POINT, ...(runs.length > 1 ? MACHINE : []), ...RATES, ...(isProfiled(runs) ? PROFILE : [])];
}

function isProfiled(runs: readonly BenchRun[]): boolean {
  return runs.some(({ results }) => results.some(({ profile }) => profile !== undefined));
}

/** Point by point, so that the machines stand below each other. */
function rowsOf(runs: readonly BenchRun[]): Row[] {
  const points = runs[0]?.results ?? [];
  return points.flatMap((_, i) => runs.map((run) => ({ run, result: run.results[i] as Result })));
}

/** The head and all rows, with cells as wide as the widest of their column. */
function aligned(shown: readonly Column[], rows: readonly Row[]): string[][] {
  const cells = [shown.map(({ name }) => name), ...rows.map((row) => shown.map(({ cell }) => cell(row)))];
  const widths = shown.map((_, i) => Math.max(...cells.map((row) => row[i]?.length ?? 0)));
  return cells.map((row) =>
    row.map((cell, i) => (shown[i]?.isText ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))),
  );
}

function table(runs: readonly BenchRun[]): string {
  return aligned(columns(runs), rowsOf(runs))
    .map((row) => row.join('  ').trimEnd())
    .join('\n');
}

function markdown(runs: readonly BenchRun[]): string {
  const shown = columns(runs);
  const [head, ...rows] = aligned(shown, rowsOf(runs));
  const rule = head?.map((cell, i) => (shown[i]?.isText ? '-'.repeat(cell.length) : `${'-'.repeat(cell.length - 1)}:`));
  return [head, rule, ...rows].map((row) => `| ${row?.join(' | ')} |`).join('\n');
}

/** What the cache is worth on each machine; empty where it was not measured both ways. */
function gains(runs: readonly BenchRun[]): string {
  return runs
    .map((run) => [machineName(run), gain(run.results)] as const)
    .filter(([, words]) => words !== undefined)
    .map(([name, words]) => `${runs.length > 1 ? `${name}: with` : 'With'} ${words}`)
    .join('\n');
}

/** What the cache is worth at the greatest depth; undefined where it was not measured both ways. */
function gain(results: readonly Result[]): string | undefined {
  const uncached = results.findLast(({ cache }) => !cache);
  const cached = results.findLast(
    ({ phase, cache, depth }) => phase === 'decode' && cache && depth === uncached?.depth,
  );
  if (uncached === undefined || cached === undefined) {
    return undefined;
  }
  const times = uncached.ms_per_token / cached.ms_per_token;
  return `the cache a token at depth ${uncached.depth} comes ${times.toFixed(1)} times as fast as without.`;
}

/** One machine with and without the cache, or several with it. */
function chart(runs: readonly BenchRun[]): string | undefined {
  const [{ results }] = runs as [BenchRun];
  return depthChart(
    runs.length > 1
      ? runs.map((run) => lineOf(machineName(run), run.results, true))
      : [lineOf('with the cache', results, true), lineOf('without', results, false)],
  );
}

function lineOf(name: string, results: readonly Result[], cache: boolean): ChartLine {
  const decoded = results.filter((result) => result.phase === 'decode' && result.cache === cache);
  return { name, points: decoded.map(({ depth, ms_per_token }) => [depth, ms_per_token]) };
}

function csv(runs: readonly BenchRun[]): string {
  const profiled = isProfiled(runs);
  const rows = rowsOf(runs).map(({ run, result: { profile, ...result } }) => ({
    ...(runs.length > 1 ? machineFields(run) : {}),
    ...result,
    ...(profiled ? Object.fromEntries(PARTS.map((part) => [`${part}_ms`, profile?.[`${part}_ms`] ?? ''])) : {}),
  }));
  return [Object.keys(rows[0] ?? {}), ...rows.map(Object.values)].map((row) => row.join(',')).join('\n');
}
