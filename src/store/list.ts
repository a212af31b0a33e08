// Lists what is stored, for `kvgen cache`: every saved prompt or text with the blocks that it is made of, and every answer.
// Reads the headers of files, not their keys and values. Knows nothing of how a list is shown.

import type { RowsDtype } from '../engine/kv-rows.js';
import { readAnswer } from './answers.js';
import type { Removed } from './eviction.js';
import { ANSWER, answerName, idCount, type PartName, parseName } from './names.js';
import { decodeMeta, type PartMeta } from './part.js';
import type { StoreFolder } from './store-folder.js';
import { readUses, type Uses, usesFile } from './uses.js';

/** In bytes. A header takes some kilobytes even for the largest models. */
const MAX_HEADER = 1 << 18;

export interface StoredEntry {
  /** A text is a prompt with what was generated behind it. */
  readonly kind: 'prompt' | 'text' | 'answer';
  readonly id: string;
  readonly model: string;
  /** ISO 8601. */
  readonly created: string;
  readonly lastUsed: string;
  readonly tokens: number;
  /** Of keys and values; null: it has none. */
  readonly dtype: RowsDtype | null;
  /** Could only who has the key list it? */
  readonly isSealed: boolean;
  readonly words: string;
  readonly bytes: number;
  /** How many of these bytes other prompts use too. */
  readonly sharedBytes: number;
  readonly hits: number;
  readonly savedMs: number;
  /** The names of what it is made of, its own last. */
  readonly files: readonly string[];
}

interface StoredPart extends PartName, Uses {
  readonly bytes: number;
  /** How many prompts it is a part of. */
  prompts: number;
}

/** Saved prompts and texts, newest first. Blocks that no prompt's end builds on any more are listed like a prompt. */
export function listPrompts(folder: StoreFolder): StoredEntry[] {
  const names = folder.names().flatMap((file) => parseName(file) ?? []);
  const parts = names.map((name): StoredPart => {
    const bytes = folder.stat(name.file)?.size ?? 0;
    return { ...name, ...readUses(folder, name.hash), bytes, prompts: 0 };
  });
  const byHash = new Map(parts.map((part) => [part.hash, part]));
  const parents = new Set(parts.map(({ parent }) => parent));
  const chains = parts.filter(({ hash }) => !parents.has(hash)).map((leaf) => chainOf(leaf, byHash));
  for (const part of chains.flat()) {
    part.prompts++;
  }
  return chains.flatMap((chain) => promptEntry(folder, chain) ?? []).toSorted(newestFirst);
}

export function listAnswers(folder: StoreFolder): StoredEntry[] {
  return folder
    .names()
    .flatMap((file) => answerEntry(folder, file) ?? [])
    .toSorted(newestFirst);
}

/** How many of the saved things are in no list, because they are damaged, or from another version of kvgen. */
export function countUnlisted(folder: StoreFolder, entries: readonly StoredEntry[]): number {
  const listed = new Set(entries.flatMap(({ files }) => files));
  const isSaved = (name: string) => parseName(name) !== undefined || ANSWER.test(name);
  return folder.names().filter((name) => isSaved(name) && !listed.has(name)).length;
}

/** Removes one entry, with those of its blocks that no other prompt uses. */
export function removeEntry(folder: StoreFolder, { files }: StoredEntry): Removed {
  const removed = { files: 0, bytes: 0 };
  const own = new Set(files);
  const others = folder.names().filter((name) => !own.has(name));
  const parents = new Set(others.map((name) => parseName(name)?.parent));
  for (const file of files.toReversed()) {
    const part = parseName(file);
    if (part !== undefined && parents.has(part.hash)) {
      break;
    }
    const hash = part?.hash ?? file.slice(0, 32);
    removed.files++;
    removed.bytes += folder.remove(file) + folder.remove(usesFile(hash));
  }
  return removed;
}

/** From the first block to the leaf. */
function chainOf(leaf: StoredPart, byHash: ReadonlyMap<string, StoredPart>): StoredPart[] {
  const chain: StoredPart[] = [];
  for (let part: StoredPart | undefined = leaf; part !== undefined; part = byHash.get(part.parent)) {
    chain.unshift(part);
  }
  return chain;
}

function promptEntry(folder: StoreFolder, chain: readonly StoredPart[]): StoredEntry | undefined {
  const leaf = chain.at(-1) as StoredPart;
  const stats = folder.stat(leaf.file);
  const meta = readPartMeta(folder, leaf);
  if (stats === undefined || meta === undefined) {
    return undefined;
  }
  const shared = chain.filter(({ prompts }) => prompts > 1);
  return {
    kind: leaf.kind === 'text' ? 'text' : 'prompt',
    id: idOf(folder, leaf.hash),
    model: meta.model,
    dtype: meta.dtype,
    isSealed: folder.isSealed,
    created: meta.created,
    lastUsed: stats.mtime.toISOString(),
    tokens: total(chain.map(idCount)),
    words: meta.words,
    bytes: total(chain.map(({ bytes }) => bytes)),
    sharedBytes: total(shared.map(({ bytes }) => bytes)),
    hits: total(chain.map(({ hits }) => hits)),
    savedMs: total(chain.map(({ savedMs }) => savedMs)),
    files: chain.map(({ file }) => file),
  };
}

function readPartMeta(folder: StoreFolder, name: PartName): PartMeta | undefined {
  try {
    const start = folder.readStart(name.file, MAX_HEADER) ?? new Uint8Array();
    const length = start.length < 8 ? 0 : Number(new DataView(start.buffer).getBigUint64(0, true));
    return decodeMeta(
      Buffer.from(start)
        .subarray(8, 8 + length)
        .toString(),
      name,
    );
  } catch {
    return undefined;
  }
}

function answerEntry(folder: StoreFolder, file: string): StoredEntry | undefined {
  const [, hash] = ANSWER.exec(file) ?? [];
  const stats = folder.stat(file);
  const stored = hash === undefined ? undefined : readAnswer(folder, file);
  if (stats === undefined || stored === undefined || answerName(stored.question) !== file) {
    return undefined;
  }
  const { model, created, tokens, words } = stored.meta;
  const lastUsed = stats.mtime.toISOString();
  const own = { model, created, lastUsed, tokens, words, bytes: stats.size, sharedBytes: 0, files: [file] };
  const uses = readUses(folder, hash as string);
  return { kind: 'answer', id: idOf(folder, hash as string), dtype: null, isSealed: folder.isSealed, ...own, ...uses };
}

/** The same prompt may be saved sealed and not. */
function idOf({ isSealed }: StoreFolder, hash: string): string {
  return `${isSealed ? 's' : ''}${hash.slice(0, 12)}`;
}

function total(numbers: readonly number[]): number {
  return numbers.reduce((sum, n) => sum + n, 0);
}

function newestFirst(a: StoredEntry, b: StoredEntry): number {
  return b.created.localeCompare(a.created);
}
