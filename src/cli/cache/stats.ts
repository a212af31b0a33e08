// What `kvgen cache stats` shows: by day and in all, how often what was saved could be used, how many tokens that spared and
// cost, and why nothing could be used. As tables and as JSON, whose fields are a contract with other programs.

import { addCounts, type Counts, NOTHING_COUNTED } from '../../store/counts.js';
import type { DayCounts } from '../../store/ledger.js';

/** What was counted of one kind, the latest day first. */
export interface KindStats {
  readonly kind: string;
  readonly days: readonly DayCounts[];
}

const HEAD = [
  'DAY',
  'KIND',
  'LOOKUPS',
  'HITS',
  'PARTIAL',
  'MISSES',
  'HIT RATE',
  'READ',
  'COMPUTED',
  'WRITTEN',
  'EVICTED',
  'SAVED',
];

/** Numbers are tokens from READ to EVICTED; the last rows are the sums of all days. */
export function statsTable(kinds: readonly KindStats[]): string[][] {
  const days = daysOf(kinds).flatMap((day) =>
    kinds.flatMap(({ kind, days }) =>
      days.filter((one) => one.day === day).map(({ counts }) => tableRow(day, kind, counts)),
    ),
  );
  const used = kinds.filter(({ days }) => days.length > 0);
  return [HEAD, ...days, ...used.map(({ kind, days }) => tableRow('all', kind, sumOf(days)))];
}

/** The reasons of misses, the most frequent first; only a head where nothing was missed. */
export function reasonsTable(kinds: readonly KindStats[]): string[][] {
  const reasons = kinds.flatMap(({ kind, days }) =>
    Object.entries(sumOf(days).reasons).map(([reason, count]) => ({ kind, reason, count })),
  );
  const sorted = reasons.toSorted((a, b) => b.count - a.count);
  return [['MISSES', 'KIND', 'REASON'], ...sorted.map(({ kind, reason, count }) => [String(count), kind, reason])];
}

/** @param bytes the size of all that is saved */
export function statsJson(path: string, bytes: number, kinds: readonly KindStats[]): object {
  const onDay = (day: string) => kinds.map(({ kind, days }) => ({ kind, days: days.filter((one) => one.day === day) }));
  return { path, bytes, ...sumsJson(kinds), days: daysOf(kinds).map((day) => ({ day, ...sumsJson(onDay(day)) })) };
}

/** Of all kinds together, and of each. */
function sumsJson(kinds: readonly KindStats[]): object {
  const all = sumOf(kinds.flatMap(({ days }) => days));
  return { ...countsJson(all), ...Object.fromEntries(kinds.map(({ kind, days }) => [kind, countsJson(sumOf(days))])) };
}

function countsJson(counts: Counts): object {
  const { hits, partial, misses, read, computed, written, evicted, evictedBytes, savedMs, reasons } = counts;
  return {
    lookups: lookups(counts),
    hits,
    partial,
    misses,
    hit_rate: hitRate(counts),
    tokens_read: read,
    tokens_computed: computed,
    tokens_written: written,
    tokens_evicted: evicted,
    bytes_evicted: evictedBytes,
    saved_ms: Math.round(10 * savedMs) / 10,
    miss_reasons: reasons,
  };
}

function tableRow(day: string, kind: string, counts: Counts): string[] {
  const { hits, partial, misses, read, computed, written, evicted, savedMs } = counts;
  const rate = hitRate(counts);
  const numbers = [lookups(counts), hits, partial, misses].map(String);
  const tokens = [read, computed, written, evicted].map(String);
  const share = rate === null ? '' : `${Math.round(100 * rate)} %`;
  return [day, kind, ...numbers, share, ...tokens, `${(savedMs / 1000).toFixed(1)} s`];
}

function lookups({ hits, partial, misses }: Counts): number {
  return hits + partial + misses;
}

/** The share of look-ups that found all or a part; null: there were none. */
function hitRate(counts: Counts): number | null {
  const { hits, partial } = counts;
  return lookups(counts) === 0 ? null : (hits + partial) / lookups(counts);
}

/** The latest first. */
function daysOf(kinds: readonly KindStats[]): string[] {
  return [...new Set(kinds.flatMap(({ days }) => days.map(({ day }) => day)))].sort().reverse();
}

function sumOf(days: readonly DayCounts[]): Counts {
  return days.map(({ counts }) => counts).reduce<Counts>(addCounts, NOTHING_COUNTED);
}
