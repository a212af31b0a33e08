// How many guessed ids a pass is to run: as many as make it give the most tokens for its time. Knows nothing of what is
// guessed, or by whom.

/** What passes cost. */
export interface PassCost {
  /** true: in milliseconds, as measured; false: in passes of one id, as assumed. */
  readonly isMeasured: boolean;
  /** Of a pass over so many ids. */
  of(ids: number): number;
}

/** What is assumed of one id more in a pass of one id, as a share of that pass, before it is measured. */
const ASSUMED_SHARE = 0.3;
/** How much one pass changes what was measured. */
const RATE = 1 / 32;
/** How much the assumption weighs beside the variance of the ids of the latest passes. */
const ASSUMED_WEIGHT = 0.25;
/** A pass that takes so many times as long as expected was interrupted by other work; it counts as one of this length. */
const LONGEST = 1.25;

/** A guess counts for this share of its chance: chances and costs are estimates, and to take back what was wrong costs as well. */
const CAUTION = 0.8;

/** A part that does not depend on the ids, and a part for each of them, by the latest passes. */
export class MeasuredCost implements PassCost {
  #passes = 0;
  // Of the ids and the milliseconds of a pass.
  #meanIds = 1;
  #meanMs = 1;
  #variance = 0;
  #covariance = 0;

  get isMeasured(): boolean {
    return this.#passes > 0;
  }

  of(ids: number): number {
    return this.#meanMs + this.#each * (ids - this.#meanIds);
  }

  /** Takes what a pass took. */
  add(ids: number, milliseconds: number): void {
    const ms = this.isMeasured ? Math.min(milliseconds, LONGEST * this.of(ids)) : milliseconds;
    this.#passes++;
    const rate = Math.max(RATE, 1 / this.#passes);
    const [offIds, offMs] = [ids - this.#meanIds, ms - this.#meanMs];
    this.#meanIds += rate * offIds;
    this.#meanMs += rate * offMs;
    this.#variance = (1 - rate) * (this.#variance + rate * offIds ** 2);
    this.#covariance = (1 - rate) * (this.#covariance + rate * offIds * offMs);
  }

  /** Of one id more: no less than nothing, and no more than its share of a pass. */
  get #each(): number {
    const assumed = (ASSUMED_SHARE * this.#meanMs) / (1 + ASSUMED_SHARE * (this.#meanIds - 1));
    const slope = (this.#covariance + ASSUMED_WEIGHT * assumed) / (this.#variance + ASSUMED_WEIGHT);
    return Math.min(Math.max(slope, 0), this.#meanMs / this.#meanIds);
  }
}

/**
 * How many guesses of each sequence a pass is to run beside the newest id of each. Plain loops, since it is called for each
 * token, and compiled while the first of them are made.
 * @param chances for each sequence and each of its guesses, the chance that it and all before it are right
 * @param perGuess what a guess costs besides, in the unit of `cost`
 */
export function allot(chances: readonly (readonly number[])[], cost: PassCost, perGuess = 0): number[] {
  const counts = Array<number>(chances.length).fill(0);
  const taken: number[] = []; // the sequences, likeliest guess first
  let tokens = chances.length;
  let bestRate = tokens / cost.of(tokens);
  let best = 0;
  for (let b = likeliest(chances, counts); b >= 0; b = likeliest(chances, counts)) {
    const count = counts[b] as number;
    tokens += CAUTION * (chances[b]?.[count] as number);
    counts[b] = count + 1;
    taken.push(b);
    const rate = tokens / (cost.of(chances.length + taken.length) + perGuess * taken.length);
    if (rate > bestRate) {
      bestRate = rate;
      best = taken.length;
    }
  }
  for (let i = best; i < taken.length; i++) {
    const b = taken[i] as number;
    counts[b] = (counts[b] as number) - 1;
  }
  return counts;
}

/** The sequence whose next guess is the likeliest; −1: there are no more. */
function likeliest(chances: readonly (readonly number[])[], counts: readonly number[]): number {
  let found = -1;
  let highest = 0;
  for (let b = 0; b < chances.length; b++) {
    const chance = chances[b]?.[counts[b] as number] ?? 0;
    if (chance > highest) {
      highest = chance;
      found = b;
    }
  }
  return found;
}
