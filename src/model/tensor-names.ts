// Finds the own names of tensors under the names that they are stored by: frameworks wrap a model, and each puts a word in front.
// Which words, all names of a model say together. Knows nothing of any one architecture, nor of files.

import { KvgenError } from '../errors.js';
import type { Architecture, TensorRole } from './config.js';

/** Parts of a name that wrappers put anywhere into it: torch.compile, DataParallel, Opacus, FSDP, activation checkpoints. */
const WRAPPERS = new Set(['_orig_mod', 'module', '_module', '_fsdp_wrapped_module', '_checkpoint_wrapped_module']);
/** Parts of the longest prefix. */
const MAX_PREFIX = 8;

/** A stored name, taken apart. */
export interface PlacedName {
  /** Such as `model.transformer.`, or nothing; without what wrappers put into it. */
  readonly prefix: string;
  /** Its name in the architecture. */
  readonly name: string;
  readonly role: TensorRole;
}

export interface OwnNames {
  /** The own name of each stored tensor that may be needed; one that nobody knows keeps its name. */
  readonly byStored: ReadonlyMap<string, string>;
  /** The stored names of tensors for other uses. */
  readonly otherUses: readonly string[];
}

/** Takes a name apart by itself; undefined: no part of it is a name of the architecture. */
export function placeName({ tensorRole }: Pick<Architecture, 'tensorRole'>, stored: string): PlacedName | undefined {
  const parts = stored.split('.').filter((part) => !WRAPPERS.has(part));
  for (let cut = 0; cut < Math.min(parts.length, MAX_PREFIX + 1); cut++) {
    const name = parts.slice(cut).join('.');
    const role = tensorRole(name);
    if (role !== undefined) {
      return {
        prefix: parts
          .slice(0, cut)
          .map((part) => `${part}.`)
          .join(''),
        name,
        role,
      };
    }
  }
  return undefined;
}

/**
 * The body of a model has one prefix, its head the same or the beginning of it; what lies elsewhere is no part of the model.
 * @param where for messages
 * @throws KvgenError for two sets of names: nobody can tell which of them is meant
 */
export function ownNames(architecture: Architecture, stored: Iterable<string>, where: string): OwnNames {
  const placed = Array.from(stored, (name) => [name, placeName(architecture, name)] as const);
  checkOnce(placed, where);
  const prefix = bodyPrefix(placed, where);
  const byStored = new Map<string, string>();
  const otherUses: string[] = [];
  for (const [name, place] of placed) {
    if (place?.role === 'otherUse') {
      otherUses.push(name);
    } else if (place === undefined || !prefix.startsWith(place.prefix)) {
      byStored.set(name, name);
    } else if (place.role !== 'buffer') {
      byStored.set(name, place.name);
    }
  }
  return { byStored, otherUses };
}

/** Of a name: the same tensor in every block has the same kind. */
export function kindOf(name: string): string {
  return name.replace(/(?<=\.)\d+(?=\.)/, '*');
}

type Placed = readonly (readonly [stored: string, place: PlacedName | undefined])[];

/** @throws KvgenError for two names of one tensor */
function checkOnce(placed: Placed, where: string): void {
  const seen = new Map<string, string>();
  for (const [name, place] of placed) {
    if (place?.role !== 'body' && place?.role !== 'head') {
      continue;
    }
    const other = seen.get(place.name);
    if (other !== undefined) {
      throw new KvgenError(`${where}: ${place.name}: stored twice, as ${other} and as ${name}; keep one of them`);
    }
    seen.set(place.name, name);
  }
}

/** @throws KvgenError where the body lies under two prefixes */
function bodyPrefix(placed: Placed, where: string): string {
  let first: { readonly name: string; readonly prefix: string } | undefined;
  for (const [name, place] of placed) {
    if (place?.role === 'body') {
      first ??= { name, prefix: place.prefix };
      if (place.prefix !== first.prefix) {
        throw new KvgenError(`${where}: two sets of weights: ${first.name} and ${name}; keep one of them`);
      }
    }
  }
  return first?.prefix ?? '';
}
