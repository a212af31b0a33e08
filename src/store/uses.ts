// Counts how often a saved file was used, and the time that this saved: a file beside it has one line for each use.
// Appending needs no lock, and a lost line does no harm. Knows nothing of what was saved.

import type { StoreFolder } from './store-folder.js';

export const USES = /^([0-9a-f]{32})\.uses$/;
/** Enough for a thousand uses, sealed ones too; later ones are not counted. */
const MAX_BYTES = 1 << 16;

export interface Uses {
  readonly hits: number;
  readonly savedMs: number;
}

export function usesFile(hash: string): string {
  return `${hash}.uses`;
}

export function recordUse(folder: StoreFolder, hash: string, savedMs: number): void {
  const name = usesFile(hash);
  try {
    if ((folder.stat(name)?.size ?? 0) < MAX_BYTES) {
      folder.append(name, savedMs.toFixed(1));
    }
  } catch {
    // The disk is full, for example: the use is not counted.
  }
}

export function readUses(folder: StoreFolder, hash: string): Uses {
  const lines = folder.lines(usesFile(hash), 2 * MAX_BYTES);
  const saved = lines.filter((line) => /^-?\d+(\.\d+)?$/.test(line));
  return { hits: saved.length, savedMs: saved.reduce((sum, line) => sum + Number(line), 0) };
}
