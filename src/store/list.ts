// What is stored, for `kvgen cache`: every saved prompt with the blocks that it is made of, and every saved answer.
// Reads headers, not keys and values. Knows nothing of tensors or of how it is shown.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ANSWER } from './answer-names.js';
import { decodeAnswer } from './answers.js';
import type { Removed } from './eviction.js';
import { readWhole, removeFile, statFile } from './files.js';
import { idCount, type PartName, parseName } from './names.js';
import { decodeMeta, type PartMeta } from './part.js';
import { readUses, usesFile } from './uses.js';

const MAX_HEADER = 1 << 20;

export interface StoredEntry {
  readonly kind: 'prompt' | 'answer';
  readonly id: string;
  readonly model: string;
  /** ISO 8601. */
  readonly created: string;
  readonly lastUsed: string;
  readonly tokens: number;
  readonly words: string;
  readonly bytes: number;
  /** Of these bytes, those that other prompts use too. */
  readonly sharedBytes: number;
  readonly hits: number;
  readonly savedMs: number;
  /** The files it is made of, its own last. */
  readonly files: readonly string[];
}

interface Shelf {
  readonly folder: string;
  /** Hash → bytes of the file. */
  readonly sizes: ReadonlyMap<string, number>;
  /** Hash → prompts that it is a part of. */
  readonly users: ReadonlyMap<string, number>;
  readonly files: ReadonlySet<string>;
}

/** Saved prompts, newest first. A beginning of which every prompt is gone is an entry of its own. */
export function listPrompts(folder: string): StoredEntry[] {
  const files = readdirSync(folder);
  const parts = files.flatMap((file) => parseName(file) ?? []);
  const byHash = new Map(parts.map((part) => [part.hash, part]));
  const sizes = new Map(parts.map(({ hash, file }) => [hash, statFile(join(folder, file))?.size ?? 0]));
  const users = new Map<string, number>();
  const chains = leaves(parts).map((leaf) => chainOf(leaf, byHash));
  for (const { hash } of chains.flat()) {
    users.set(hash, (users.get(hash) ?? 0) + 1);
  }
  const shelf = { folder, sizes, users, files: new Set(files) };
  return chains.flatMap((chain) => promptEntry(shelf, chain) ?? []).toSorted(newestFirst);
}

export function listAnswers(folder: string): StoredEntry[] {
  return readdirSync(folder)
    .flatMap((file) => answerEntry(folder, file) ?? [])
    .toSorted(newestFirst);
}

/** Removes one entry, and of its blocks those that no other prompt uses. */
export function removeEntry(folder: string, { files }: StoredEntry): Removed {
  const removed = { files: 0, bytes: 0 };
  for (const file of files.toReversed()) {
    const part = parseName(file);
    const isUsed = part !== undefined && readdirSync(folder).some((other) => parseName(other)?.parent === part.hash);
    if (isUsed) {
      break;
    }
    const hash = part?.hash ?? file.slice(0, 32);
    removed.files++;
    removed.bytes += removeFile(join(folder, file)) + removeFile(join(folder, usesFile(hash)));
  }
  return removed;
}

function leaves(parts: readonly PartName[]): PartName[] {
  const parents = new Set(parts.map(({ parent }) => parent));
  return parts.filter(({ hash }) => !parents.has(hash));
}

/** From the first block to the leaf. */
function chainOf(leaf: PartName, byHash: ReadonlyMap<string, PartName>): PartName[] {
  const chain: PartName[] = [];
  for (let part: PartName | undefined = leaf; part !== undefined; part = byHash.get(part.parent)) {
    chain.unshift(part);
  }
  return chain;
}

function promptEntry({ folder, sizes, users, files }: Shelf, chain: readonly PartName[]): StoredEntry | undefined {
  const leaf = chain.at(-1) as PartName;
  const stats = statFile(join(folder, leaf.file));
  const meta = readPartMeta(join(folder, leaf.file));
  if (stats === undefined || meta === undefined) {
    return undefined;
  }
  const shared = chain.filter(({ hash }) => (users.get(hash) ?? 0) > 1);
  const uses = chain.filter(({ hash }) => files.has(usesFile(hash))).map(({ hash }) => readUses(folder, hash));
  return {
    kind: 'prompt',
    id: leaf.hash.slice(0, 12),
    model: meta.model,
    created: meta.created,
    lastUsed: stats.mtime.toISOString(),
    tokens: total(chain.map(idCount)),
    words: meta.words,
    bytes: total(chain.map(({ hash }) => sizes.get(hash) ?? 0)),
    sharedBytes: total(shared.map(({ hash }) => sizes.get(hash) ?? 0)),
    hits: total(uses.map(({ hits }) => hits)),
    savedMs: total(uses.map(({ savedMs }) => savedMs)),
    files: chain.map(({ file }) => file),
  };
}

/** A header is a few kilobytes for the largest of models. */
function readPartMeta(path: string): PartMeta | undefined {
  const start = readWhole(path, 8) ?? new Uint8Array();
  const length = start.length < 8 ? 0 : Number(new DataView(start.buffer).getBigUint64(0, true));
  const header = Buffer.from(readWhole(path, 8 + Math.min(length, MAX_HEADER)) ?? []).subarray(8);
  return decodeMeta(header.toString());
}

function answerEntry(folder: string, file: string): StoredEntry | undefined {
  const [, hash] = ANSWER.exec(file) ?? [];
  const stats = statFile(join(folder, file));
  const stored = hash === undefined ? undefined : decodeAnswer(readWhole(join(folder, file)) ?? new Uint8Array());
  if (stats === undefined || stored === undefined) {
    return undefined;
  }
  const { model, created, tokens, words } = stored.meta;
  const lastUsed = stats.mtime.toISOString();
  const own = { model, created, lastUsed, tokens, words, bytes: stats.size, sharedBytes: 0, files: [file] };
  return { kind: 'answer', id: (hash as string).slice(0, 12), ...own, ...readUses(folder, hash as string) };
}

function total(numbers: readonly number[]): number {
  return numbers.reduce((sum, n) => sum + n, 0);
}

function newestFirst(a: StoredEntry, b: StoredEntry): number {
  return b.created.localeCompare(a.created);
}
