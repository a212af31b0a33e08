// Finds the saved files that hold the longest beginning of a prompt, by their names alone. Knows nothing of what is in them.

import {
  agreement,
  BLOCK_IDS,
  idCount,
  type PartName,
  type PromptsOf,
  parseName,
  partNames,
  rootHash,
} from './names.js';

export interface Plan {
  /** Files in the order of their positions, and how many ids of each agree. */
  readonly parts: readonly PlannedPart[];
  /** The file that agrees longest where no saved file agrees fully. If it agrees at all, it is the last of `parts`. */
  readonly nearest: PartName | undefined;
  /** The first part of the prompt that is not saved; undefined: all are. */
  readonly missing: PartName | undefined;
  /** Does the last part hold the logits that follow the whole prompt? */
  readonly whole: boolean;
  /** Is anything saved for this model and dtype, or at least for others? */
  readonly known: 'nothing' | 'others' | 'these';
}

export interface PlannedPart {
  readonly name: PartName;
  readonly take: number;
}

/** The saved files of a folder, for many look-ups. */
export interface SavedFiles {
  readonly names: ReadonlySet<string>;
  /** By the block that each builds on, and by its index. */
  readonly siblings: ReadonlyMap<string, readonly PartName[]>;
}

/** @param names all names of the folder */
export function savedFiles(names: readonly string[]): SavedFiles {
  const siblings = new Map<string, PartName[]>();
  for (const part of names.flatMap((name) => parseName(name) ?? [])) {
    const key = siblingsOf(part);
    const others = siblings.get(key);
    others === undefined ? siblings.set(key, [part]) : others.push(part);
  }
  return { names: new Set(names), siblings };
}

function siblingsOf({ parent, index }: Pick<PartName, 'parent' | 'index'>): string {
  return `${parent} ${index}`;
}

export function planLookup({ names, siblings }: SavedFiles, of: PromptsOf, ids: readonly number[]): Plan {
  const ofThese = siblings.has(siblingsOf({ parent: rootHash(of), index: 0 }));
  const known = ofThese ? 'these' : siblings.size > 0 ? 'others' : 'nothing';
  const wanted = partNames(of, ids);
  const missing = wanted.find(({ file }) => !names.has(file));
  const parts = wanted.slice(0, missing?.index).map((name) => ({ name, take: idCount(name) }));
  if (missing === undefined) {
    return { parts, nearest: undefined, missing, whole: true, known };
  }
  const from = missing.index * BLOCK_IDS;
  const nearest = nearestOf(siblings.get(siblingsOf(missing)) ?? [], ids.slice(from, from + BLOCK_IDS));
  if (nearest !== undefined && nearest.take > 0) {
    parts.push(nearest);
  }
  return { parts, nearest: nearest?.name, missing, whole: false, known };
}

function nearestOf(siblings: readonly PartName[], ids: readonly number[]): PlannedPart | undefined {
  let nearest: PlannedPart | undefined;
  for (const name of siblings) {
    const take = agreement(name, ids);
    if (nearest === undefined || take > nearest.take) {
      nearest = { name, take };
    }
  }
  return nearest;
}
