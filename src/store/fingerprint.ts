// What a model is, in one hash: its weights, config and tokenizer, and the format of what is stored. Hashing the
// weights takes a second for half a gigabyte, so the result is remembered under device, inode, size and both times (in
// nanoseconds) of all files. Other weights, also in the same folder, have another fingerprint.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { crc32 } from './crc32.js';
import { readWhole, writeWhole } from './files.js';
import { FORMAT } from './part.js';

/** Remembered fingerprints, by a hash of what `stat` says. */
export const REMEMBERED = /^[0-9a-f]{32}\.model$/;
const MODEL_FILES = /^(config|tokenizer|tokenizer_config|vocab)\.json$|^merges\.txt$|\.safetensors(\.index\.json)?$/;
/** Times of files move in steps: a file changed so recently may change again and keep its time. */
const SETTLED_MS = 2000;

export interface Fingerprint {
  readonly fingerprint: string;
  /** The state of the files that it was taken of; see `fileState`. */
  readonly state: string;
}

export interface FingerprintOptions {
  /** Where it is remembered; undefined: nowhere. */
  readonly folder: string | undefined;
  readonly write: boolean;
  /** Called while the weights are hashed. */
  readonly onProgress?: (() => void) | undefined;
}

/** @param dir the model's folder */
export async function fingerprint(dir: string, options: FingerprintOptions): Promise<Fingerprint> {
  const { state, changedMs } = await fileState(dir);
  const file = options.folder === undefined ? undefined : `${state.slice(0, 32)}.model`;
  const known = file === undefined ? undefined : recall(join(options.folder as string, file), state);
  if (known !== undefined) {
    return { fingerprint: known, state };
  }
  options.onProgress?.();
  const computed = await hashFiles(dir);
  const settled = Date.now() - changedMs >= SETTLED_MS && (await fileState(dir)).state === state;
  if (file !== undefined && options.write && settled) {
    remember(options.folder as string, file, computed, state);
  }
  return { fingerprint: computed, state };
}

/** A hash of what the file system says of a model's files; it changes when one of them does. */
export async function fileState(dir: string): Promise<{ state: string; changedMs: number }> {
  const hash = createHash('sha256').update(FORMAT);
  let changedMs = 0;
  for (const name of await modelFiles(dir)) {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(join(dir, name), { bigint: true });
    hash.update(JSON.stringify([name, ...[dev, ino, size, mtimeNs, ctimeNs].map(String)]));
    changedMs = Math.max(changedMs, Number(mtimeNs / 1_000_000n), Number(ctimeNs / 1_000_000n));
  }
  return { state: hash.digest('hex'), changedMs };
}

async function modelFiles(dir: string): Promise<string[]> {
  return (await readdir(dir)).filter((name) => MODEL_FILES.test(name)).sort();
}

async function hashFiles(dir: string): Promise<string> {
  const all = createHash('sha256').update(FORMAT);
  for (const name of await modelFiles(dir)) {
    const one = createHash('sha256');
    await pipeline(createReadStream(join(dir, name), { highWaterMark: 1 << 20 }), one);
    all.update(JSON.stringify([name, one.digest('hex')]));
  }
  return all.digest('hex');
}

/** The fingerprint and a CRC-32 over it and the state: 64 and 8 digits. */
function recall(path: string, state: string): string | undefined {
  const text = Buffer.from(readWhole(path) ?? []).toString('latin1');
  const known = text.slice(0, 64);
  return text === known + seal(known, state) ? known : undefined;
}

function remember(folder: string, file: string, computed: string, state: string): void {
  try {
    writeWhole(folder, file, Buffer.from(computed + seal(computed, state)));
  } catch {
    // it will be computed again
  }
}

function seal(fingerprint: string, state: string): string {
  return crc32(Buffer.from(fingerprint + state))
    .toString(16)
    .padStart(8, '0');
}
