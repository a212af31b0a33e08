// What is counted of the use of a store, and how counts are added, written as a line and read again. A line of a file may
// hold anything, so only what is expected is taken from it. Knows nothing of files.

export interface Counts {
  /** Look-ups of which all was known, a part of it, or nothing. */
  readonly hits: number;
  readonly partial: number;
  readonly misses: number;
  /** Tokens that were taken from the store, and those of the same look-ups that had to be computed. */
  readonly read: number;
  readonly computed: number;
  /** Tokens that were written to the store, and those that were removed to make room. */
  readonly written: number;
  readonly evicted: number;
  readonly evictedBytes: number;
  /** What reading was quicker than computing, in milliseconds; below 0 where it was slower. */
  readonly savedMs: number;
  /** How many misses had each reason. */
  readonly reasons: Readonly<Record<string, number>>;
}

const NUMBERS = [
  'hits',
  'partial',
  'misses',
  'read',
  'computed',
  'written',
  'evicted',
  'evictedBytes',
  'savedMs',
] as const;

/** There are fewer. */
const MAX_REASONS = 32;
const MAX_REASON_LENGTH = 100;

export const NOTHING_COUNTED: Counts = {
  hits: 0,
  partial: 0,
  misses: 0,
  read: 0,
  computed: 0,
  written: 0,
  evicted: 0,
  evictedBytes: 0,
  savedMs: 0,
  reasons: {},
};

export function addCounts(a: Counts, b: Partial<Counts>): Counts {
  const numbers = NUMBERS.map((name) => [name, a[name] + (b[name] ?? 0)]);
  const reasons = new Map(Object.entries(a.reasons));
  for (const [reason, count] of Object.entries(b.reasons ?? {})) {
    const known = reasons.get(reason);
    if (known !== undefined || reasons.size < MAX_REASONS) {
      reasons.set(reason, (known ?? 0) + count);
    }
  }
  return { ...Object.fromEntries(numbers), reasons: Object.fromEntries(reasons) } as unknown as Counts;
}

/** Only what is not 0; '' where nothing was counted. */
export function countsLine(counts: Counts): string {
  const numbers = NUMBERS.filter((name) => counts[name] !== 0).map((name) => [name, rounded(counts[name])]);
  const reasons = Object.keys(counts.reasons).length === 0 ? [] : [['reasons', counts.reasons]];
  const all = [...numbers, ...reasons];
  return all.length === 0 ? '' : JSON.stringify(Object.fromEntries(all));
}

/** Nothing is counted by a line that is none. */
export function parseCounts(line: string): Partial<Counts> {
  const found = parseObject(line);
  const numbers = NUMBERS.map((name) => [name, numberIn(found[name], name === 'savedMs' ? -1e15 : 0)]);
  const reasons = Object.entries(Object(found.reasons))
    .map(([reason, count]) => [reason, numberIn(count, 0)] as const)
    .filter(([reason, count]) => reason.length <= MAX_REASON_LENGTH && count > 0);
  return Object.fromEntries([...numbers, ['reasons', Object.fromEntries(reasons)]]);
}

function parseObject(line: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(line));
  } catch {
    return {};
  }
}

/** 0 for what is no number from `least` to 10^15, up to which all sums are exact. */
function numberIn(value: unknown, least: number): number {
  return typeof value === 'number' && value >= least && value <= 1e15 ? value : 0;
}

/** To a tenth. */
function rounded(value: number): number {
  return Math.round(10 * value) / 10;
}
