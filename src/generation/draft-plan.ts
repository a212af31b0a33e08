// How many guessed ids a pass is to run: as many as make it give the most tokens for its time. Knows nothing of what is
// guessed, or by whom.

/** What is assumed of one id more in a pass of one id, as a share of that pass, before it is measured. */
const ASSUMED_SHARE = 0.3;
/** How much one pass changes what was measured. */
const RATE = 1 / 32;
/** How much the assumption weighs beside the variance of the ids of the latest passes. */
const ASSUMED_WEIGHT = 0.05;
/** A pass that takes so many times as long as expected was interrupted; it counts as one of this length. */
const LONGEST = 2;

/**
 * The time of a pass: a part that does not depend on its ids, and a part for each of them. Measured where the ids of a
 * pass do not change the bits of its logits; else assumed, so that what is generated never depends on a clock.
 */
export class PassCost {
  readonly #mayMeasure: boolean;
  #passes = 0;
  // Of the ids and the milliseconds of a pass, weighted towards the latest.
  #meanIds = 1;
  #meanMs = 1;
  #variance = 0;
  #covariance = 0;

  /** @param mayMeasure may what is run depend on how long passes take? */
  constructor(mayMeasure: boolean) {
    this.#mayMeasure = mayMeasure;
  }

  /** true: the costs are milliseconds; false: shares of a pass of one id. */
  get isMeasured(): boolean {
    return this.#passes > 0;
  }

  /** Of one id more. */
  get each(): number {
    const assumed = (ASSUMED_SHARE * this.#meanMs) / (1 + ASSUMED_SHARE * (this.#meanIds - 1));
    const slope = (this.#covariance + ASSUMED_WEIGHT * assumed) / (this.#variance + ASSUMED_WEIGHT);
    return Math.min(Math.max(slope, 0), this.#meanMs / this.#meanIds);
  }

  of(ids: number): number {
    return this.#meanMs + this.each * (ids - this.#meanIds);
  }

  /** Takes what a pass took. */
  add(ids: number, milliseconds: number): void {
    if (!this.#mayMeasure) {
      return;
    }
    const ms = this.isMeasured ? Math.min(milliseconds, LONGEST * this.of(ids)) : milliseconds;
    this.#passes++;
    const rate = Math.max(RATE, 1 / this.#passes);
    const [offIds, offMs] = [ids - this.#meanIds, ms - this.#meanMs];
    this.#meanIds += rate * offIds;
    this.#meanMs += rate * offMs;
    this.#variance = (1 - rate) * (this.#variance + rate * offIds ** 2);
    this.#covariance = (1 - rate) * (this.#covariance + rate * offIds * offMs);
  }
}

/**
 * How many guesses of each sequence a pass is to run beside the newest id of each.
 * @param chances for each sequence and each of its guesses, the chance that it and all before it are right
 * @param perGuess what a guess costs besides, in the unit of `cost`
 */
export function allot(
  chances: readonly (readonly number[])[],
  cost: Pick<PassCost, 'each' | 'of'>,
  perGuess = 0,
): number[] {
  const counts = chances.map(() => 0);
  const guesses = chances.flatMap((of, b) => of.map((chance) => ({ chance, b })));
  const each = cost.each + perGuess;
  let tokens = chances.length;
  let total = cost.of(tokens);
  for (const { chance, b } of guesses.sort((x, y) => y.chance - x.chance)) {
    if (chance * total <= each * tokens) {
      break;
    }
    counts[b] = (counts[b] as number) + 1;
    tokens += chance;
    total += each;
  }
  return counts;
}
