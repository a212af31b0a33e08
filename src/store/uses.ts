// How often a saved file was of use, and what that saved: one line for each use in a file beside it. Appending needs
// no lock, and a lost line is no harm. Knows nothing of what was saved.

import { join } from 'node:path';
import { appendLine, readWhole, statFile } from './files.js';

export const USES = /^([0-9a-f]{32})\.uses$/;
/** A thousand uses and more: from there on nobody counts. */
const MAX_BYTES = 1 << 14;

export interface Uses {
  readonly hits: number;
  readonly savedMs: number;
}

export function usesFile(hash: string): string {
  return `${hash}.uses`;
}

export function recordUse(folder: string, hash: string, savedMs: number): void {
  const path = join(folder, usesFile(hash));
  try {
    if ((statFile(path)?.size ?? 0) < MAX_BYTES) {
      appendLine(path, savedMs.toFixed(1));
    }
  } catch {
    // a full disk: the use is not counted
  }
}

export function readUses(folder: string, hash: string): Uses {
  const text = Buffer.from(readWhole(join(folder, usesFile(hash))) ?? []).toString();
  const saved = text.split('\n').filter((line) => /^-?\d+(\.\d+)?$/.test(line));
  return { hits: saved.length, savedMs: saved.reduce((sum, line) => sum + Number(line), 0) };
}
