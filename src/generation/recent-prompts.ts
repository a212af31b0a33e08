// Prompts in the order of their latest use, and which of them begins most like another. When they take too much, those
// that were not used for longest go. Knows nothing of what is kept with a prompt: `kvgen cache plan` keeps nothing.

import { bytesPerPosition, type ModelConfig } from '../model/config.js';

/** How much is kept by default: bytes of keys, values and logits. The newest prompt is always kept. */
export const MAX_BYTES = 2 ** 28;
/** More would take long to look through. */
const MAX_PROMPTS = 256;
/** Engines keep positions in pieces of up to so many, and the last piece is counted as a whole. */
const PIECE = 64;

interface RecentPrompt<T> {
  readonly ids: readonly number[];
  readonly value: T;
}

/** How much of a prompt is known by another. */
export interface Likeness<T> {
  readonly value: T;
  /** How many ids at the beginning need not be run. */
  readonly known: number;
  /** Are they the same? Else the last id must be run, for its logits. */
  readonly isSame: boolean;
}

export class RecentPrompts<T> {
  /** Latest used first. */
  readonly #kept: RecentPrompt<T>[] = [];
  readonly #bytesPerPosition: number;
  readonly #bytesOfLogits: number;
  readonly #maxBytes: number;

  constructor(config: ModelConfig, maxBytes = MAX_BYTES) {
    this.#bytesPerPosition = bytesPerPosition(config);
    this.#bytesOfLogits = 4 * config.vocabSize;
    this.#maxBytes = maxBytes;
  }

  /** The prompt with the longest common beginning, the same prompt before any other; it counts as used. */
  nearest(ids: readonly number[]): Likeness<T> | undefined {
    let place = 0;
    let most = -1;
    for (let i = 0; i < this.#kept.length; i++) {
      const { ids: kept } = this.#kept[i] as RecentPrompt<T>;
      const common = commonLength(kept, ids);
      if (common > most || (common === most && isSame(kept, ids, common))) {
        place = i;
        most = common;
      }
    }
    const [best] = this.#kept.splice(place, 1);
    if (best === undefined) {
      return undefined;
    }
    this.#kept.unshift(best);
    return { value: best.value, known: reusable(best.ids, ids), isSame: isSame(best.ids, ids, most) };
  }

  /** How many ids at the beginning are kept with any prompt. None counts as used. */
  common(ids: readonly number[]): number {
    return this.#kept.reduce((most, { ids: kept }) => Math.max(most, commonLength(kept, ids)), 0);
  }

  /** @returns what had to go for it */
  keep(ids: readonly number[], value: T): T[] {
    this.#kept.unshift({ ids: [...ids], value });
    let bytes = 0;
    const last = this.#kept.findIndex(({ ids }, i) => {
      bytes += this.#bytesPerPosition * PIECE * Math.ceil(ids.length / PIECE) + this.#bytesOfLogits;
      return i > 0 && (i === MAX_PROMPTS || bytes > this.#maxBytes);
    });
    return last < 0 ? [] : this.#kept.splice(last).map(({ value }) => value);
  }

  /** Takes out those that are a beginning of these ids. @returns what was kept with them, where `isIn` says so */
  removeBeginnings(ids: readonly number[], isIn: (value: T) => boolean): T[] {
    const removed: T[] = [];
    for (let i = this.#kept.length - 1; i >= 0; i--) {
      const { ids: kept, value } = this.#kept[i] as RecentPrompt<T>;
      if (isIn(value) && kept.length <= ids.length && commonLength(kept, ids) === kept.length) {
        this.#kept.splice(i, 1);
        removed.push(value);
      }
    }
    return removed;
  }

  /** @returns all that was kept */
  clear(): T[] {
    return this.#kept.splice(0).map(({ value }) => value);
  }
}

/** How many ids at the beginning are the same. */
export function commonLength(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) {
    length++;
  }
  return length;
}

/** How many ids of a prompt need not be run when the others were: of another prompt's not the last, for its logits. */
export function reusable(others: readonly number[], ids: readonly number[]): number {
  const common = commonLength(others, ids);
  return isSame(others, ids, common) ? common : Math.min(common, ids.length - 1);
}

function isSame(a: readonly number[], b: readonly number[], common: number): boolean {
  return a.length === common && b.length === common;
}
