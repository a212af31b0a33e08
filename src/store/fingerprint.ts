// The fingerprint of a model: one hash of all files that were opened to make it, whatever their names, and of the format of
// what is stored. Half a gigabyte of weights takes a second to hash, so the fingerprint is remembered for as long as all
// these files keep their device, inode, size and times. Knows nothing of what is in the files.

import { createHash } from 'node:crypto';
import { crcDigits } from '../files/crc32.js';
import { WEIGHTS } from '../files/file-kinds.js';
import type { ModelFolder } from '../files/model-folder.js';
import type { FileState } from '../files/open-file.js';
import { FORMAT } from './part.js';
import type { StoreFolder } from './store-folder.js';

/** The names of remembered fingerprints: each begins with a hash of the files' names and states. */
export const REMEMBERED = /^[0-9a-f]{32}\.model$/;
const REMEMBERED_BYTES = 64 + 8;
/** The times of files move in steps: a file that was changed so recently may change again and keep its time. */
const SETTLED_MS = 2000;

interface FingerprintOptions {
  /** Where fingerprints are remembered; undefined: nowhere. */
  readonly folder: StoreFolder | undefined;
  readonly write: boolean;
  /** Called when the files have to be hashed. */
  readonly onProgress?: (() => void) | undefined;
}

/**
 * @param model its files have been opened
 * @throws KvgenError when one of them, or what was looked for in vain, is not what it was then
 */
export async function fingerprint(
  model: ModelFolder,
  { folder, write, onProgress }: FingerprintOptions,
): Promise<string> {
  const files = openedFiles(model);
  const state = stateOf(files);
  const name = `${state.slice(0, 32)}.model`;
  const known = folder === undefined ? undefined : recall(folder, name, state);
  if (known !== undefined) {
    await model.checkUnchanged();
    return known;
  }
  onProgress?.();
  const computed = await hashFiles(model, files);
  await model.checkUnchanged();
  const changedMs = Math.max(...files.map(([, file]) => file.changedMs));
  if (folder !== undefined && write && Date.now() - changedMs >= SETTLED_MS) {
    remember(folder, name, computed, state);
  }
  return computed;
}

/**
 * The fingerprint of what is computed from a model. Engines that round differently share no keys and values.
 * @param computation names the engine; undefined: one whose results were kept before there was another
 */
export function fingerprintOf(files: string, computation: string | undefined): string {
  return computation === undefined ? files : createHash('sha256').update(`${files} ${computation}`).digest('hex');
}

type OpenedFiles = readonly (readonly [name: string, state: FileState])[];

/** In the order of their names. */
function openedFiles(model: ModelFolder): OpenedFiles {
  const opened = [...model.files].flatMap(([name, state]) => (state === null ? [] : [[name, state] as const]));
  return opened.toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/** It changes whenever one of the files does. */
function stateOf(files: OpenedFiles): string {
  const hash = createHash('sha256').update(FORMAT);
  for (const [name, { text }] of files) {
    hash.update(JSON.stringify([name, text]));
  }
  return hash.digest('hex');
}

async function hashFiles(model: ModelFolder, files: OpenedFiles): Promise<string> {
  const all = createHash('sha256').update(FORMAT);
  for (const [name] of files) {
    all.update(JSON.stringify([name, await hashFile(model, name)]));
  }
  return all.digest('hex');
}

async function hashFile(model: ModelFolder, name: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of model.pieces(name, WEIGHTS)) {
    hash.update(piece);
  }
  return hash.digest('hex');
}

/** The file holds the fingerprint (64 digits) and a CRC-32 of it and the state (8 digits). */
function recall(folder: StoreFolder, name: string, state: string): string | undefined {
  try {
    const text = Buffer.from(folder.read(name, REMEMBERED_BYTES) ?? []).toString('latin1');
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
