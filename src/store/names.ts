// The names of saved prompts and answers, which are their only index. A prompt is cut into blocks of 32 ids. The name of a
// block has a hash of the block before it and of its own ids, so a beginning that prompts share is stored once and found by
// name. The end of a prompt holds the ids that are left over, and the last logits. The end of a text, a prompt with what was
// generated behind it, holds no logits. Knows nothing of what is in the files.

import { createHash } from 'node:crypto';
import type { RowsDtype } from '../engine/kv-rows.js';

export const BLOCK_IDS = 32;

const NAME = /^(block|end|text)-(\d{4,7})-([0-9a-f]{32})-([0-9a-f]{32})-((?:[0-9a-f]{2}){0,32})\.safetensors$/;
export const ANSWER = /^([0-9a-f]{32})\.json$/;

const PART_KINDS = ['block', 'end', 'text'] as const;
export type PartKind = (typeof PART_KINDS)[number];

/** Where a part belongs. Its file says so too, because files can be renamed. */
export interface PartPlace {
  readonly kind: PartKind;
  /** How many blocks come before it. */
  readonly index: number;
  /** The hash of the block before it, or of the model. */
  readonly parent: string;
  /** Of kind, parent and ids: so it stands for all ids from the first one of the prompt on. */
  readonly hash: string;
}

export interface PartName extends PartPlace {
  readonly file: string;
  /** The low byte of each id, in hexadecimal: it shows how far two prompts agree without opening a file. */
  readonly sketch: string;
}

/** What a store of prompts is for. Prompts of one do not mix with those of another. */
export interface PromptsOf {
  readonly fingerprint: string;
  /** Of keys and values. */
  readonly dtype: RowsDtype;
}

/** The parent of the first block of every prompt of a model. */
export function rootHash({ fingerprint, dtype }: PromptsOf): string {
  return hash(`model ${fingerprint} ${dtype}`);
}

function partName(kind: PartKind, index: number, parent: string, ids: readonly number[]): PartName {
  const own = partHash(kind, parent, ids);
  const sketch = Buffer.from(ids.map((id) => id & 0xff)).toString('hex');
  const file = `${kind}-${String(index).padStart(4, '0')}-${parent}-${own}-${sketch}.safetensors`;
  return { file, kind, index, parent, hash: own, sketch };
}

export function partHash(kind: PartKind, parent: string, ids: readonly number[]): string {
  return hash(`${kind} ${parent} ${ids.join()}`);
}

/** Returns undefined for what is the name of none. */
export function partKind(text: string): PartKind | undefined {
  return PART_KINDS.find((kind) => kind === text);
}

/** Returns undefined for a file that is no part of a saved prompt. */
export function parseName(file: string): PartName | undefined {
  const [, kind, index, parent, own, sketch] = NAME.exec(file) ?? [];
  return own === undefined
    ? undefined
    : {
        file,
        kind: kind as PartKind,
        index: Number(index),
        parent: parent as string,
        hash: own,
        sketch: sketch as string,
      };
}

/** All the names of a prompt, or of a text: its whole blocks, then its end, which may have no ids. */
export function partNames(of: PromptsOf, ids: readonly number[], last: Exclude<PartKind, 'block'> = 'end'): PartName[] {
  const names: PartName[] = [];
  let parent = rootHash(of);
  for (let from = 0; ; from += BLOCK_IDS) {
    const part = ids.slice(from, from + BLOCK_IDS);
    const kind = part.length === BLOCK_IDS ? 'block' : last;
    const name = partName(kind, from / BLOCK_IDS, parent, part);
    names.push(name);
    if (kind !== 'block') {
      return names;
    }
    parent = name.hash;
  }
}

export function idCount({ sketch }: PartName): number {
  return sketch.length / 2;
}

/** How many of `ids` a part begins with, as far as the low bytes can tell. */
export function agreement({ sketch }: PartName, ids: readonly number[]): number {
  const bytes = Buffer.from(sketch, 'hex');
  const differs = bytes.findIndex((byte, i) => i >= ids.length || byte !== ((ids[i] as number) & 0xff));
  return differs < 0 ? bytes.length : differs;
}

/** @param question everything that decides the answer, as one JSON text */
export function answerName(question: string): string {
  return `${hash(question)}.json`;
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}
