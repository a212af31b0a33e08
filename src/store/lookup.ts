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
  /** Does the last part hold the logits that follow the whole prompt? */
  readonly whole: boolean;
  /** Is anything saved for this model and dtype, or at least for others? */
  readonly known: 'nothing' | 'others' | 'these';
}

interface PlannedPart {
  readonly name: PartName;
  readonly take: number;
}

/** @param files all names of the folder */
export function planLookup(files: readonly string[], of: PromptsOf, ids: readonly number[]): Plan {
  const saved = files.flatMap((file) => parseName(file) ?? []);
  const root = rootHash(of);
  const ofThese = saved.some(({ parent }) => parent === root);
  const known = ofThese ? 'these' : saved.length > 0 ? 'others' : 'nothing';
  const present = new Set(files);
  const wanted = partNames(of, ids);
  const missing = wanted.find(({ file }) => !present.has(file));
  const parts = wanted.slice(0, missing?.index).map((name) => ({ name, take: idCount(name) }));
  if (missing === undefined) {
    return { parts, nearest: undefined, whole: true, known };
  }
  const siblings = saved.filter(({ parent, index }) => parent === missing.parent && index === missing.index);
  const from = missing.index * BLOCK_IDS;
  const nearest = nearestOf(siblings, ids.slice(from, from + BLOCK_IDS));
  if (nearest !== undefined && nearest.take > 0) {
    parts.push(nearest);
  }
  return { parts, nearest: nearest?.name, whole: false, known };
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
