// The drafter that looks in the text itself: where its last ids stood before, what followed them there may follow again.
// It pays where a text repeats or quotes its prompt. Each id is entered once, in the same time however long the text is.
// Reference: "Prompt lookup decoding", Saxena 2023.

import { type DraftedText, type Drafter, type Guesses, NOTHING } from './drafts.js';

/** Of the last ids, so many are looked up. */
const SHORTEST = 2;
const LONGEST = 4;
/** A place that has agreed in so many ids is not left for one id that differs: in lists and edits what follows is the same again. */
const MANY = 8;
/** Kinds of guesses, by how many ids before one are the same in both places: up to each of these. Below two: since an id differed. */
const KINDS = [1, 2, 3, 4, 8, 16, Number.POSITIVE_INFINITY];
/** By that number, up to one more than the last of them that is finite. */
const KIND_OF = Array.from({ length: 18 }, (_, agreeing) => KINDS.findIndex((most) => agreeing <= most));
/** Runs that are known at the same time: bounds the memory of a text without end. When there are so many, all are forgotten. */
const MOST_RUNS = 2 ** 18;
/** More than any id. */
const ID_LIMIT = 2 ** 24;
/** The number of the run of no ids. */
const EMPTY = 0;

/** Plain loops, since it is asked for each token, and compiled while the first of them are made. */
export class PromptLookup implements Drafter {
  readonly chances = [0.5, 0.35, 0.45, 0.5, 0.65, 0.85, 0.95];
  readonly share = 0;
  #known = 0;
  /** From the number of a run of ids and the id behind it to the number of the run with it. */
  readonly #longer = new Map<number, number>();
  /** By the number of a run: where it stood last, as the index of the id behind it; 0: nowhere. */
  readonly #latest: number[] = [0];
  /** The numbers of the runs of none, one, two … ids at the end of the text. */
  readonly #runs: number[] = [EMPTY];
  /** An earlier place where the text was as it is now, as the index of the id behind it; 0: there is none. */
  #source = 0;
  /** How many ids before it are the same, as far as they were compared. */
  #agreeing = 0;

  guess({ ids }: DraftedText, most: number): Guesses {
    for (; this.#known < ids.length; this.#known++) {
      this.#follow(ids, this.#known);
    }
    if (this.#source === 0) {
      return NOTHING;
    }
    const guesses = { ids: [] as number[], kinds: [] as number[] };
    const end = ids.length;
    for (let i = 0; i < most; i++) {
      const place = this.#source + i;
      guesses.ids.push((place < end ? ids[place] : guesses.ids[place - end]) as number); // a repetition may overlap itself
      guesses.kinds.push(KIND_OF[Math.min(this.#agreeing + i, KIND_OF.length - 1)] as number);
    }
    return guesses;
  }

  dispose(): void {
    this.#longer.clear();
  }

  /** Enters the runs that end with the id at `place`, and finds where the longest of them stood before. */
  #follow(ids: readonly number[], place: number): void {
    if (this.#latest.length > MOST_RUNS) {
      this.#forget();
    }
    const id = ids[place] as number;
    const isRight = this.#source > 0 && ids[this.#source] === id;
    const followed = isRight ? this.#agreeing + 1 : 0;
    const mayDiffer = !isRight && this.#agreeing >= MANY && this.#source < place;
    let source = 0;
    let agreeing = 0;
    for (let length = Math.min(LONGEST, this.#runs.length); length > 0; length--) {
      const run = this.#numberOf(this.#runs[length - 1] as number, id);
      const latest = this.#latest[run] as number;
      if (agreeing === 0 && latest > 0 && length >= SHORTEST) {
        source = latest;
        agreeing = length;
      }
      this.#latest[run] = place + 1;
      this.#runs[length] = run;
    }
    // What is followed already is left only for what agrees in as many ids and is newer.
    const stays = followed > agreeing || (mayDiffer && agreeing === 0);
    this.#source = stays ? this.#source + 1 : source;
    this.#agreeing = stays ? followed : agreeing;
  }

  #forget(): void {
    this.#longer.clear();
    this.#latest.length = 1;
    this.#runs.length = 1;
  }

  #numberOf(run: number, id: number): number {
    const key = run * ID_LIMIT + id;
    const known = this.#longer.get(key);
    if (known !== undefined) {
      return known;
    }
    const number = this.#latest.length;
    this.#longer.set(key, number);
    this.#latest.push(0);
    return number;
  }
}
