// Prompts in the order of their latest use, and which of them begins most like another. When they take too much, those
// that were not used for longest go. Knows nothing of what is kept with a prompt: `kvgen cache plan` keeps nothing.

import { bytesPerPosition, type ModelConfig } from '../model/config.js';

/** How much is kept: bytes of keys, values and logits, and prompts. The newest prompt is always kept. */
const MAX_BYTES = 2 ** 28;
const MAX_PROMPTS = 256;

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

  constructor(config: ModelConfig) {
    this.#bytesPerPosition = bytesPerPosition(config);
    this.#bytesOfLogits = 4 * config.vocabSize;
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
    const same = isSame(best.ids, ids, most);
    return { value: best.value, known: same ? most : Math.min(most, ids.length - 1), isSame: same };
  }

  /** @returns what had to go for it */
  keep(ids: readonly number[], value: T): T[] {
    this.#kept.unshift({ ids: [...ids], value });
    let bytes = 0;
    const last = this.#kept.findIndex(({ ids }, i) => {
      bytes += this.#bytesPerPosition * ids.length + this.#bytesOfLogits;
      return i > 0 && (i === MAX_PROMPTS || bytes > MAX_BYTES);
    });
    return last < 0 ? [] : this.#kept.splice(last).map(({ value }) => value);
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

function isSame(a: readonly number[], b: readonly number[], common: number): boolean {
  return a.length === common && b.length === common;
}
