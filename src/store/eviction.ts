// Keeps the saved prompts or answers within their limits of size and age: the least recently used are removed first. A block
// counts as used whenever a block that builds on it is, so a chain of blocks loses its end first and has no gaps. Only
// regular files whose names fit are ever removed. Knows nothing of what is in them.

import { join } from 'node:path';
import type { Limits } from '../settings.js';
import { listFiles, removeFile, statFile, TEMPORARY } from './files.js';
import { REMEMBERED } from './fingerprint.js';
import { ANSWER, type PartName, parseName } from './names.js';
import { USES, usesFile } from './uses.js';

/** A file that looks lost may belong to a writer that is still at work. After this time no writer is. */
const GRACE_MS = 60 * 60 * 1000;

interface KeptFile {
  readonly file: string;
  readonly hash: string;
  readonly part: PartName | undefined;
  readonly bytes: number;
  /** Milliseconds since 1970; for a block, the latest time of all that build on it. */
  used: number;
}

export interface Removed {
  readonly files: number;
  readonly bytes: number;
}

export function evict(folder: string, { maxBytes, maxAgeMs }: Limits, now = Date.now()): Removed {
  const files = listFiles(folder);
  const kept = survey(folder, files);
  const order = kept.toSorted((a, b) => a.used - b.used || (b.part?.index ?? 0) - (a.part?.index ?? 0));
  let total = kept.reduce((sum, { bytes }) => sum + bytes, 0);
  const removed = { files: 0, bytes: 0 };
  for (const { file, hash, bytes, used } of order) {
    if (total > maxBytes || now - used > maxAgeMs) {
      total -= bytes;
      removed.files++;
      removed.bytes += removeFile(join(folder, file)) + removeFile(join(folder, usesFile(hash)));
    }
  }
  removed.bytes += sweep(folder, files, kept, Math.max(maxAgeMs, GRACE_MS), now);
  return removed;
}

/** Removes every file of kvgen in one folder. */
export function clear(folder: string): Removed {
  const ours = listFiles(folder).filter(isOurs);
  const bytes = ours.map((file) => removeFile(join(folder, file)));
  return { files: ours.length, bytes: bytes.reduce((sum, n) => sum + n, 0) };
}

/** The size of all files of kvgen in one folder. */
export function bytesIn(folder: string): number {
  const sizes = listFiles(folder)
    .filter(isOurs)
    .map((file) => statFile(join(folder, file))?.size ?? 0);
  return sizes.reduce((sum, size) => sum + size, 0);
}

function isOurs(file: string): boolean {
  return [ANSWER, TEMPORARY, REMEMBERED, USES].some((pattern) => pattern.test(file)) || parseName(file) !== undefined;
}

function survey(folder: string, files: readonly string[]): KeptFile[] {
  const kept = files.flatMap((file): KeptFile[] => {
    const part = parseName(file);
    const hash = part?.hash ?? ANSWER.exec(file)?.[1];
    const stats = hash === undefined ? undefined : statFile(join(folder, file));
    return stats === undefined ? [] : [{ file, hash: hash as string, part, bytes: stats.size, used: stats.mtimeMs }];
  });
  const byHash = new Map(kept.map((entry) => [entry.hash, entry]));
  for (const entry of kept.toSorted((a, b) => (b.part?.index ?? 0) - (a.part?.index ?? 0))) {
    const parent = byHash.get(entry.part?.parent ?? '');
    if (parent !== undefined) {
      parent.used = Math.max(parent.used, entry.used);
    }
  }
  return kept;
}

/** Removes what no longer belongs to anything. @returns the bytes that this freed */
function sweep(
  folder: string,
  files: readonly string[],
  kept: readonly KeptFile[],
  maxAgeMs: number,
  now: number,
): number {
  const hashes = new Set(kept.map(({ hash }) => hash));
  const orphans = kept.filter(
    ({ part, used }) => part !== undefined && part.index > 0 && !hashes.has(part.parent) && now - used > GRACE_MS,
  );
  const lost = files.filter((file) => {
    const age = now - (statFile(join(folder, file))?.mtimeMs ?? now);
    const [, used] = USES.exec(file) ?? [];
    return (
      (TEMPORARY.test(file) && age > GRACE_MS) ||
      (REMEMBERED.test(file) && age > maxAgeMs) ||
      (used !== undefined && !hashes.has(used))
    );
  });
  return [...orphans.map(({ file }) => file), ...lost].reduce((sum, file) => sum + removeFile(join(folder, file)), 0);
}
