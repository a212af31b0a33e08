// Keeps the saved prompts or answers within their limits of size and age: the least recently used are removed first. A block
// counts as used whenever a block that builds on it is, so a chain of blocks loses its end first and has no gaps. Sealed files
// of another key count, and go, by size and age alone. Only regular files whose names fit are ever removed. Knows nothing of
// what is in them.

import type { Limits } from '../settings.js';
import { TEMPORARY } from './files.js';
import { REMEMBERED } from './fingerprint.js';
import { addUpLedgers, isLedger, isOldLedger } from './ledger.js';
import { ANSWER, idCount, type PartName, parseName } from './names.js';
import type { StoredFile, StoreFolder } from './store-folder.js';
import { USES } from './uses.js';

/** A file that looks lost may belong to a writer that is still at work. After this time no writer is. */
const GRACE_MS = 60 * 60 * 1000;

/** The share of their bound that files are cut down to. */
const ROOMY = 31 / 32;

interface KeptFile extends StoredFile {
  readonly part: PartName | undefined;
  /** Milliseconds since 1970; for a block, the latest time of all that build on it. */
  used: number;
}

export interface Removed {
  readonly files: number;
  readonly bytes: number;
}

export interface Evicted extends Removed {
  /** Of prompts and texts; how many an answer has, its name does not say. */
  readonly tokens: number;
}

const NOTHING_EVICTED: Evicted = { files: 0, bytes: 0, tokens: 0 };

/** After this time a folder is looked at again, since other processes write there too. */
const SURVEY_MS = 30_000;
/** What is known of folders since they were looked at: the size of all files, and when that was. */
const surveyed = new WeakMap<StoreFolder, { bytes: number; at: number }>();

/**
 * Evicts after something was written. To look at thousands of files takes long, so it is done only when they may have
 * become too many.
 * @param written bytes
 */
export function makeRoom(folder: StoreFolder, limits: Limits, written: number, now = Date.now()): Evicted {
  const known = surveyed.get(folder);
  if (known !== undefined && Math.abs(now - known.at) < SURVEY_MS) {
    known.bytes += written;
    if (known.bytes <= limits.maxBytes) {
      return NOTHING_EVICTED;
    }
  }
  return evict(folder, limits, now);
}

export function evict(folder: StoreFolder, limits: Limits, now = Date.now()): Evicted {
  const files = folder.files();
  const kept = survey(files);
  const out = new Set(tooMany(kept, limits, now));
  const staying = kept.filter((file) => !out.has(file));
  const lost = lostFiles(files, staying, Math.max(limits.maxAgeMs, GRACE_MS), now);
  const bytes = [...out, ...lost].map((file) => folder.removeFile(file));
  const tokens = [...out].map(({ part }) => (part === undefined ? 0 : idCount(part)));
  surveyed.set(folder, { bytes: total(staying.map(({ bytes }) => bytes)), at: now });
  addUpLedgers(
    folder,
    files.flatMap(({ name }) => name ?? []),
    now,
  );
  return { files: out.size, bytes: total(bytes), tokens: total(tokens) };
}

/** Removes every file of kvgen in one folder. */
export function clear(folder: StoreFolder): Removed {
  const ours = folder.files().filter(isOurs);
  const bytes = ours.map((file) => folder.removeFile(file));
  return { files: ours.length, bytes: total(bytes) };
}

/** The size of all files of kvgen in one folder. */
export function bytesIn(folder: StoreFolder): number {
  const ours = folder.files().filter(isOurs);
  return total(ours.map(({ bytes }) => bytes));
}

function isOurs({ name }: StoredFile): boolean {
  if (name === undefined) {
    return true;
  }
  const isOther = [ANSWER, TEMPORARY, REMEMBERED, USES].some((pattern) => pattern.test(name)) || isLedger(name);
  return isOther || parseName(name) !== undefined;
}

function survey(files: readonly StoredFile[]): KeptFile[] {
  const kept = files.flatMap((file): KeptFile[] => {
    const part = parseName(file.name ?? '');
    const isKept = file.name === undefined || part !== undefined || ANSWER.test(file.name);
    return isKept ? [{ ...file, part, used: file.usedMs }] : [];
  });
  const byHash = new Map(kept.map((file) => [keyOf(file, file.part?.hash), file]));
  for (const file of kept.toSorted((a, b) => (b.part?.index ?? 0) - (a.part?.index ?? 0))) {
    const parent = byHash.get(keyOf(file, file.part?.parent));
    if (file.part !== undefined && parent !== undefined) {
      parent.used = Math.max(parent.used, file.used);
    }
  }
  return kept;
}

/** Plain and sealed files do not belong together, though their names may be the same. */
function keyOf({ isSealed }: StoredFile, hash: string | undefined): string {
  return `${isSealed ? 'sealed' : 'plain'} ${hash}`;
}

/**
 * The oldest files, the later blocks of a chain first. Where they are too large together, some more of those that were not
 * used lately go, so that the next file does not need another survey.
 */
function tooMany(kept: readonly KeptFile[], { maxBytes, maxAgeMs }: Limits, now: number): KeptFile[] {
  let size = total(kept.map(({ bytes }) => bytes));
  const lasting = size > maxBytes ? maxBytes * ROOMY : maxBytes;
  if (size <= maxBytes && kept.every(({ used }) => now - used <= maxAgeMs)) {
    return [];
  }
  const order = kept.toSorted((a, b) => a.used - b.used || (b.part?.index ?? 0) - (a.part?.index ?? 0));
  return order.filter(({ bytes, used }) => {
    const bound = now - used > GRACE_MS ? lasting : maxBytes;
    const isOut = size > bound || now - used > maxAgeMs;
    size -= isOut ? bytes : 0;
    return isOut;
  });
}

/** What no longer belongs to anything. */
function lostFiles(
  files: readonly StoredFile[],
  kept: readonly KeptFile[],
  maxAgeMs: number,
  now: number,
): StoredFile[] {
  const there = new Set(kept.map((file) => keyOf(file, file.part?.hash ?? ANSWER.exec(file.name ?? '')?.[1])));
  const orphans = kept.filter((file) => {
    const { part, used } = file;
    return part !== undefined && part.index > 0 && !there.has(keyOf(file, part.parent)) && now - used > GRACE_MS;
  });
  const others = files.filter((file) => {
    const { name = '', usedMs } = file;
    const [, used] = USES.exec(name) ?? [];
    return (
      (TEMPORARY.test(name) && now - usedMs > GRACE_MS) ||
      (REMEMBERED.test(name) && now - usedMs > maxAgeMs) ||
      isOldLedger(name, now) ||
      (used !== undefined && !there.has(keyOf(file, used)))
    );
  });
  return [...orphans, ...others];
}

function total(numbers: readonly number[]): number {
  return numbers.reduce((sum, n) => sum + n, 0);
}
