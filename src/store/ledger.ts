// Counts by day what is read from a store, written to it and removed from it. Each process counts in memory and adds a line
// to the day's file now and then, so several processes can count at the same time without a lock. What is added up lies in
// one line once the day is over. Counts and days are all that is written: no words, no ids. Knows nothing of what is stored.

import { addCounts, type Counts, countsLine, NOTHING_COUNTED, parseCounts } from './counts.js';
import type { StoreFolder } from './store-folder.js';

const DAY = /^(\d{4}-\d{2}-\d{2})\.counts$/;
const DAY_MS = 24 * 60 * 60 * 1000;
const KEPT_DAYS = 90;
/** Of one day's file, which is enough for some 20,000 lines. What comes later is not counted. */
const MAX_BYTES = 1 << 22;
/** A file of more is added up when its day is over. */
const MAX_SUM_BYTES = 1 << 13;
/** A process counts so long in memory. */
const FLUSH_MS = 10_000;

export class Ledger {
  readonly #folder: StoreFolder;
  #counted = NOTHING_COUNTED;
  #flushed = Date.now();

  constructor(folder: StoreFolder) {
    this.#folder = folder;
  }

  add(counts: Partial<Counts>): void {
    this.#counted = addCounts(this.#counted, counts);
    if (Math.abs(Date.now() - this.#flushed) >= FLUSH_MS) {
      this.flush();
    }
  }

  /** Writes what was counted. To be called at the end. Never fails: what cannot be written is not counted. */
  flush(): void {
    const line = countsLine(this.#counted);
    this.#counted = NOTHING_COUNTED;
    this.#flushed = Date.now();
    const name = dayFile(this.#flushed);
    try {
      if (line !== '' && (this.#folder.stat(name)?.size ?? 0) < MAX_BYTES) {
        this.#folder.append(name, line);
      }
    } catch {
      // The disk is full or read-only, for example.
    }
  }
}

export interface DayCounts {
  /** Such as 2025-11-26, in UTC. */
  readonly day: string;
  readonly counts: Counts;
}

/** What all processes have counted, the latest day first; of several folders, all together. @throws the system's error */
export function readLedgers(folders: readonly StoreFolder[]): DayCounts[] {
  const days = new Set(folders.flatMap((folder) => folder.names().flatMap((name) => DAY.exec(name)?.[1] ?? [])));
  return [...days]
    .sort()
    .reverse()
    .map((day) => {
      const counted = folders.map((folder) => sumOf(folder, `${day}.counts`));
      return { day, counts: counted.reduce<Counts>(addCounts, NOTHING_COUNTED) };
    });
}

export function isLedger(name: string): boolean {
  return DAY.test(name);
}

/** Is it older than counts are kept? */
export function isOldLedger(name: string, now: number): boolean {
  const [, day] = DAY.exec(name) ?? [];
  return day !== undefined && !(now - Date.parse(day) <= KEPT_DAYS * DAY_MS); // no such day: NaN
}

/** Adds up the lines of days that are over for long enough that nobody adds another. Never fails. */
export function addUpLedgers(folder: StoreFolder, names: readonly string[], now: number): void {
  for (const name of names) {
    const [, day] = DAY.exec(name) ?? [];
    const isOver = day !== undefined && now - Date.parse(day) > 1.5 * DAY_MS;
    if (isOver && (folder.stat(name)?.size ?? 0) > MAX_SUM_BYTES) {
      try {
        folder.replaceLines(name, [countsLine(sumOf(folder, name))]); // whoever does so at the same time writes the same
      } catch {
        // The lines stay.
      }
    }
  }
}

function dayFile(now: number): string {
  return `${new Date(now).toISOString().slice(0, 10)}.counts`;
}

function sumOf(folder: StoreFolder, name: string): Counts {
  return folder
    .lines(name, 2 * MAX_BYTES)
    .map(parseCounts)
    .reduce<Counts>(addCounts, NOTHING_COUNTED);
}
