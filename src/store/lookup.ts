// Which saved files hold the longest beginning of a prompt: found by names alone. Knows nothing of what is in them.

import { agreement, BLOCK_IDS, idCount, type PartName, parseName, partName, rootHash } from './names.js';

/** Files in the order of their positions, and how many ids of each agree. */
export interface Plan {
  readonly parts: readonly { readonly name: PartName; readonly take: number }[];
  /** The saved file that agrees the furthest where the prompt parts from all of them; it is the last of `parts` if it agrees at all. */
  readonly nearest: PartName | undefined;
  /** Does the last part hold the logits that follow the whole prompt? */
  readonly whole: boolean;
  /** Is anything at all saved for this model, and for any? */
  readonly known: 'nothing' | 'other models' | 'this model';
}

/** @param files all names of the folder */
export function planLookup(files: readonly string[], fingerprint: string, ids: readonly number[]): Plan {
  const children = byParent(files);
  const root = rootHash(fingerprint);
  const known = children.has(root) ? 'this model' : children.size > 0 ? 'other models' : 'nothing';
  const parts: { name: PartName; take: number }[] = [];
  let parent = root;
  for (let from = 0; ; from += BLOCK_IDS) {
    const rest = ids.slice(from, from + BLOCK_IDS);
    const siblings = children.get(parent) ?? [];
    const wanted = partName(rest.length === BLOCK_IDS ? 'block' : 'end', parts.length, parent, rest);
    const exact = siblings.find(({ file }) => file === wanted.file);
    if (exact === undefined) {
      const nearest = nearestOf(siblings, rest);
      const take = nearest === undefined ? 0 : agreement(nearest, rest);
      return {
        parts: take > 0 ? [...parts, { name: nearest as PartName, take }] : parts,
        nearest,
        whole: false,
        known,
      };
    }
    parts.push({ name: exact, take: idCount(exact) });
    if (exact.kind === 'end') {
      return { parts, nearest: undefined, whole: true, known };
    }
    parent = exact.hash;
  }
}

function byParent(files: readonly string[]): Map<string, PartName[]> {
  const children = new Map<string, PartName[]>();
  for (const file of files) {
    const name = parseName(file);
    if (name !== undefined) {
      const siblings = children.get(name.parent);
      siblings === undefined ? children.set(name.parent, [name]) : siblings.push(name);
    }
  }
  return children;
}

function nearestOf(siblings: readonly PartName[], ids: readonly number[]): PartName | undefined {
  let best: PartName | undefined;
  for (const sibling of siblings) {
    if (best === undefined || agreement(sibling, ids) > agreement(best, ids)) {
      best = sibling;
    }
  }
  return best;
}
