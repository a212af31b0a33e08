// The steps of probability that have a colour of their own, from the surest token to the least likely. The page's colours are
// in page/page.css, under the same numbers.

/** The lowest probability of each step; what is below all is in the last, one more. */
export const PROBABILITY_STEPS = [0.9, 0.7, 0.5, 0.3, 0.1, 0.03, 0.01] as const;

/** The number of a probability's step, 0: the surest. */
export function probabilityStep(logprob: number): number {
  const step = PROBABILITY_STEPS.findIndex((least) => Math.exp(logprob) >= least);
  return step < 0 ? PROBABILITY_STEPS.length : step;
}

/** What the legend says of each step. */
export function stepWords(step: number): string {
  const least = PROBABILITY_STEPS[step];
  return least === undefined
    ? `less than ${100 * (PROBABILITY_STEPS.at(-1) as number)} %`
    : `at least ${100 * least} %`;
}
