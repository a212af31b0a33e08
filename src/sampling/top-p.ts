// Top-p: keeps the best candidates that have a share p of the weight together.
// References: Holtzman et al. 2020; selection without sorting, here by weight: Hoare's quickselect (CACM 4, 1961).

import { exp } from '../exp.js';
import { type Candidates, keepDownTo, type Last, lastOf, weigh } from './candidates.js';
import type { Scores } from './scan.js';

/** The first narrowing sorts all ids into so many classes of equal width, of which the last is open. */
const CLASSES = 1024;
const CLASSES_PER_NAT = 32;

/** Keeps the fewest of the best candidates whose weights, added up from the best on, reach p of the weight of all. */
export function keepTopP(c: Candidates, scores: Scores, topP: number): void {
  if (c.size < scores.length) {
    const goal = topP * weighRanked(c, scores);
    keepDownTo(lastRanked(c, goal), c, scores);
    return;
  }
  const goal = topP * weigh(c, scores, 1);
  const found = selectLast(c, scores, goal);
  c.fill();
  if (found === null) {
    weighRanked(c, scores);
  }
  keepDownTo(found ?? lastRanked(c, goal), c, scores);
}

/** Ranks the candidates' scores and weighs them in this order. Returns the sum of the weights. */
function weighRanked(c: Candidates, scores: Scores): number {
  const { ids, weights, size, max } = c;
  const ranked = c.ranked.subarray(0, size);
  for (let i = 0; i < size; i++) {
    ranked[i] = scores[ids[i] as number] as number;
  }
  ranked.sort().reverse();
  let total = 0;
  for (let i = 0; i < size; i++) {
    const weight = exp((ranked[i] as number) - max);
    weights[i] = weight;
    total += weight;
  }
  return total;
}

/** The last of the ranked scores that is needed to reach the goal; the very last, if even all do not reach it. */
function lastRanked({ ranked, weights, size }: Candidates, goal: number): Last {
  let count = 0;
  for (let sum = 0; sum < goal && count < size; count++) {
    sum += weights[count] as number;
  }
  return lastOf(ranked, count, ranked[count - 1] as number);
}

/**
 * Finds the last of all ids that is kept: takes one of them, adds up the weights of those above it, and goes on with
 * those above it or those below it alone.
 * @param c all ids, weighed; fewer and fewer of them are left
 * @returns null: the order in which weights are added, and so rounded, would decide
 */
function selectLast(c: Candidates, scores: Scores, goal: number): Last | null {
  let sure = leaveClass(c, scores, goal); // the weight of those that are kept whatever is found further down
  while (c.size > 0) {
    const middle = middleOf(c, scores);
    const score = scores[middle] as number;
    const { above, equal } = sumsAround(score, c, scores);
    if (sure + above < goal && sure + above + equal >= goal) {
      const ties = countTies(goal, sure + above, c.weights[middle] as number, scores.length);
      return ties === null ? null : { score, ties };
    }
    const isAbove = sure + above >= goal;
    sure += isAbove ? 0 : above + equal;
    leaveBetween(isAbove ? score : Number.NEGATIVE_INFINITY, isAbove ? Number.POSITIVE_INFINITY : score, c, scores);
  }
  return null;
}

/** Leaves only the ids of the class in which the goal is reached. @returns the weight of the classes above it */
function leaveClass(c: Candidates, scores: Scores, goal: number): number {
  const { ids, weights, max } = c;
  const sums = new Float64Array(CLASSES);
  for (let id = 0; id < scores.length; id++) {
    const index = classOf(scores[id] as number, max);
    sums[index] = (sums[index] as number) + (weights[id] as number);
  }
  let above = 0;
  let last = 0;
  for (; last < CLASSES - 1 && above + (sums[last] as number) < goal; last++) {
    above += sums[last] as number;
  }
  c.size = 0;
  for (let id = 0; id < scores.length; id++) {
    if (classOf(scores[id] as number, max) === last) {
      ids[c.size++] = id;
    }
  }
  return above;
}

function classOf(score: number, max: number): number {
  return Math.min((max - score) * CLASSES_PER_NAT, CLASSES - 1) | 0;
}

/** Of the first, the middle and the last id the one whose score is between those of the others. */
function middleOf({ ids, size }: Candidates, scores: Scores): number {
  const [a, b, c] = [ids[0] as number, ids[size >> 1] as number, ids[size - 1] as number];
  const [x, y, z] = [scores[a] as number, scores[b] as number, scores[c] as number];
  if (x < y) {
    return y < z ? b : x < z ? c : a;
  }
  return x < z ? a : y < z ? c : b;
}

/** The weights of the ids with a higher score and of those with the same. */
function sumsAround(score: number, { ids, weights, size }: Candidates, scores: Scores) {
  let above = 0;
  let equal = 0;
  for (let i = 0; i < size; i++) {
    const id = ids[i] as number;
    const other = scores[id] as number;
    if (other > score) {
      above += weights[id] as number;
    } else if (other === score) {
      equal += weights[id] as number;
    }
  }
  return { above, equal };
}

/** How many of the same weight it takes from `sum` to the goal; null: rounding errors of the sum could change that. */
function countTies(goal: number, sum: number, weight: number, summands: number): number | null {
  const ties = Math.ceil((goal - sum) / weight);
  const reached = sum + ties * weight;
  const doubt = reached * summands * 2 ** -50; // eight times the error bound of one sum
  return reached - goal > doubt && goal - (reached - weight) > doubt ? ties : null;
}

function leaveBetween(low: number, high: number, c: Candidates, scores: Scores): void {
  const { ids, size } = c;
  let left = 0;
  for (let i = 0; i < size; i++) {
    const id = ids[i] as number;
    const score = scores[id] as number;
    if (score > low && score < high) {
      ids[left++] = id;
    }
  }
  c.size = left;
}
