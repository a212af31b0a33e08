// Results as text: a table for people, Markdown, CSV, JSON, JSON lines. The fields of the JSON are a contract with
// other programs. Knows nothing of how results are measured.

import type { BenchArgs } from '../shell/command-settings.js';
import { depthChart } from './chart.js';
import type { Result } from './measure.js';
import { PARTS } from './profile.js';

/** What the results are about. */
export interface Subject {
  readonly model: string;
  readonly parameters: number;
  readonly backend: string;
  readonly engine: string;
  readonly threads: number;
  readonly weights: string;
  readonly versions: Readonly<Record<string, string>>;
}

/** The whole output without its last newline; for jsonl see `jsonLine`. */
export function formatResults(
  format: Exclude<BenchArgs['format'], 'jsonl'>,
  subject: Subject,
  results: readonly Result[],
): string {
  switch (format) {
    case 'table':
      return [headline(subject), table(results), gain(results), depthChart(results)]
        .filter((part) => part !== undefined)
        .join('\n\n');
    case 'md':
      return [headline(subject), markdown(results)].join('\n\n');
    case 'csv':
      return csv(results);
    case 'json':
      return JSON.stringify({ ...subject, results, peak_rss_bytes: process.resourceUsage().maxRSS * 1024 });
  }
}

/** The line of one result, which can be read without the others. */
export function jsonLine({ versions, ...subject }: Subject, result: Result): string {
  return JSON.stringify({ ...subject, ...result });
}

function headline({ model, parameters, backend, engine, threads, versions }: Subject): string {
  const size = parameters >= 1e6 ? `${(parameters / 1e6).toFixed(1)} M` : `${(parameters / 1e3).toFixed(1)} k`;
  const tensorflow = versions.tensorflow === undefined ? [] : [`TensorFlow ${versions.tensorflow}`];
  const engineAndThreads = `${engine}, ${threads} thread${threads === 1 ? '' : 's'}`;
  return [model, `${size} parameters`, `${backend}, ${engineAndThreads}`, ...tensorflow].join(' · ');
}

interface Column {
  readonly name: string;
  readonly cell: (result: Result) => string;
}

const COLUMNS: readonly Column[] = [
  { name: 'test', cell: ({ name }) => name },
  { name: 'cache', cell: ({ phase, cache }) => (phase === 'prefill' ? '' : cache ? 'yes' : 'no') },
  { name: 'depth', cell: ({ depth }) => String(depth) },
  { name: 'tok/s', cell: ({ tps_median }) => tps_median.toFixed(1) },
  { name: 'mean ± sd', cell: ({ tps_mean, tps_sd }) => `${tps_mean.toFixed(1)} ± ${tps_sd.toFixed(1)}` },
  { name: 'ms/token', cell: ({ ms_per_token }) => ms_per_token.toFixed(ms_per_token < 10 ? 3 : 1) },
];

const PROFILE_COLUMNS: readonly Column[] = PARTS.map((part) => ({
  name: `${part} ms`,
  cell: ({ profile }) => profile?.[`${part}_ms`]?.toFixed(3) ?? '',
}));

/** The parts of a decode step have columns only where they were measured. */
function columns(results: readonly Result[]): readonly Column[] {
  return results.some(({ profile }) => profile !== undefined) ? [...COLUMNS, ...PROFILE_COLUMNS] : COLUMNS;
}

function cells(results: readonly Result[]): string[][] {
  const shown = columns(results);
  return [shown.map(({ name }) => name), ...results.map((result) => shown.map(({ cell }) => cell(result)))];
}

/** Cells as wide as the widest of their column: the first two columns to the left, the numbers to the right. */
function aligned(results: readonly Result[]): string[][] {
  const rows = cells(results);
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0))) ?? [];
  return rows.map((row) => row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))));
}

function table(results: readonly Result[]): string {
  return aligned(results)
    .map((row) => row.join('  ').trimEnd())
    .join('\n');
}

function markdown(results: readonly Result[]): string {
  const [head, ...rows] = aligned(results);
  const rule = head?.map((cell, i) => (i < 2 ? '-'.repeat(cell.length) : `${'-'.repeat(cell.length - 1)}:`));
  return [head, rule, ...rows].map((row) => `| ${row?.join(' | ')} |`).join('\n');
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
  return `With the cache a token at depth ${uncached.depth} comes ${times.toFixed(1)} times as fast as without.`;
}

function csv(results: readonly Result[]): string {
  const profiled = results.some(({ profile }) => profile !== undefined);
  const rows = results.map(({ profile, ...result }) => ({
    ...result,
    ...(profiled ? Object.fromEntries(PARTS.map((part) => [`${part}_ms`, profile?.[`${part}_ms`] ?? ''])) : {}),
  }));
  return [Object.keys(rows[0] ?? {}), ...rows.map(Object.values)].map((row) => row.join(',')).join('\n');
}
