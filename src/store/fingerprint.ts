// The fingerprint of a model: one hash of its weights, its config, its tokenizer and the format of what is stored. Half a
// gigabyte of weights takes a second to hash, so the fingerprint is remembered for as long as all files keep their device,
// inode, size and times. Knows nothing of what is in the files.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { crcDigits } from './crc32.js';
import { FORMAT } from './part.js';
import type { StoreFolder } from './store-folder.js';

/** The names of remembered fingerprints: each begins with the hash that `fileState` returns. */
export const REMEMBERED = /^[0-9a-f]{32}\.model$/;
const MODEL_FILES = /^(config|tokenizer|tokenizer_config|vocab)\.json$|^merges\.txt$|\.safetensors(\.index\.json)?$/;
const REMEMBERED_BYTES = 64 + 8;
/** The times of files move in steps: a file that was changed so recently may change again and keep its time. */
const SETTLED_MS = 2000;

interface FingerprintOptions {
  /** Where fingerprints are remembered; undefined: nowhere. */
  readonly folder: StoreFolder | undefined;
  readonly write: boolean;
  /** Called while the weights are hashed. */
  readonly onProgress?: (() => void) | undefined;
}

/**
 * @param dir the model's folder
 * @returns the fingerprint, and the state of the files that it was made from
 */
export async function fingerprint(
  dir: string,
  { folder, write, onProgress }: FingerprintOptions,
): Promise<{ fingerprint: string; state: string }> {
  const { state, changedMs } = await fileState(dir);
  const name = `${state.slice(0, 32)}.model`;
  const known = folder === undefined ? undefined : recall(folder, name, state);
  if (known !== undefined) {
    return { fingerprint: known, state };
  }
  onProgress?.();
  const computed = await hashFiles(dir);
  const settled = Date.now() - changedMs >= SETTLED_MS && (await fileState(dir)).state === state;
  if (folder !== undefined && write && settled) {
    remember(folder, name, computed, state);
  }
  return { fingerprint: computed, state };
}

/**
 * The fingerprint of what is computed from a model. Engines that round differently share no keys and values.
 * @param computation names the engine; undefined: one whose results were kept before there was another
 */
export function fingerprintOf(files: string, computation: string | undefined): string {
  return computation === undefined ? files : createHash('sha256').update(`${files} ${computation}`).digest('hex');
}

/** A hash of what the file system says about a model's files. It changes whenever one of them does. */
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

/** The file holds the fingerprint (64 digits) and a CRC-32 of it and the state (8 digits). */
function recall(folder: StoreFolder, name: string, state: string): string | undefined {
  try {
    const text = Buffer.from(folder.read(name, REMEMBERED_BYTES + 1) ?? []).toString('latin1');
    const known = text.slice(0, 64);
    return text === checked(known, state) ? known : undefined;
  } catch {
    return undefined;
  }
}

function remember(folder: StoreFolder, name: string, computed: string, state: string): void {
  try {
    folder.write(name, new Uint8Array(Buffer.from(checked(computed, state))));
  } catch {
    // It will be computed again.
  }
}

function checked(fingerprint: string, state: string): string {
  return fingerprint + crcDigits(Buffer.from(fingerprint + state));
}
