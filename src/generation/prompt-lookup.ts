// The drafter that looks in the text itself: where its last ids stood before, what followed them there may follow again.
// It pays where a text repeats or quotes its prompt. Each id is entered once, in the same time however long the text is.
// Reference: "Prompt lookup decoding", Saxena 2023.

import type { DraftedText, Drafter, Guess } from './drafts.js';

/** Of the last ids, so many are looked up. */
const SHORTEST = 2;
const LONGEST = 4;
/** Kinds of guesses, by how many ids before one are the same in both places: up to each of these. */
const KINDS = [2, 3, 4, 8, 16, Number.POSITIVE_INFINITY];
/** More than any id. */
const ID_LIMIT = 2 ** 24;

/** An earlier place where the text was as it is now. */
interface Source {
  /** The index of the id that followed there. */
  readonly next: number;
  /** How many ids before are the same, as far as they were compared. */
  readonly agreeing: number;
}

export class PromptLookup implements Drafter {
  readonly chances = [0.35, 0.45, 0.5, 0.65, 0.85, 0.95];
  readonly share = 0;
  #known = 0;
  /** From a run of ids, as a number, and the id behind it to the number of the run with it. 0 is the run of none. */
  readonly #longer = new Map<number, number>();
  /** By the number of a run: where it stood last, as the index of the id behind it. */
  readonly #latest: (number | undefined)[] = [undefined];
  /** The numbers of the runs of one, two … ids at the end of the text. */
  #runs: readonly number[] = [];
  #source: Source | null = null;

  guess({ ids }: DraftedText, most: number): readonly Guess[] {
    for (; this.#known < ids.length; this.#known++) {
      this.#add(ids, this.#known);
    }
    if (this.#source === null) {
      return [];
    }
    const { next, agreeing } = this.#source;
    const guesses: Guess[] = [];
    for (let i = 0; i < most; i++) {
      const id = ids[next + i] ?? (guesses[next + i - ids.length] as Guess).id; // a repetition may overlap itself
      guesses.push({ id, kind: KINDS.findIndex((length) => agreeing + i <= length) });
    }
    return guesses;
  }

  dispose(): void {
    this.#longer.clear();
  }

  #add(ids: readonly number[], place: number): void {
    const id = ids[place] as number;
    const found = this.#enter(id, place + 1);
    const source = this.#source;
    const followed = source !== null && ids[source.next] === id ? source.agreeing + 1 : 0;
    // The place that is followed already is left only for one that agrees in as many ids and is newer.
    this.#source =
      followed > (found?.agreeing ?? 0) && source !== null ? { next: source.next + 1, agreeing: followed } : found;
  }

  /** Enters the runs that end with an id. @returns where the longest of them stood before */
  #enter(id: number, next: number): Source | null {
    let found: Source | null = null;
    const shorter = [0, ...this.#runs.slice(0, LONGEST - 1)];
    this.#runs = shorter.map((run) => this.#numberOf(run, id));
    for (const [i, run] of this.#runs.entries()) {
      const length = i + 1;
      const latest = this.#latest[run];
      if (length >= SHORTEST && latest !== undefined) {
        found = { next: latest, agreeing: length };
      }
      this.#latest[run] = next;
    }
    return found;
  }

  #numberOf(run: number, id: number): number {
    const key = run * ID_LIMIT + id;
    const known = this.#longer.get(key);
    if (known !== undefined) {
      return known;
    }
    const number = this.#latest.length;
    this.#longer.set(key, number);
    this.#latest.push(undefined);
    return number;
  }
}
