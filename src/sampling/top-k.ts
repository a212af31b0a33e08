// Top-k: takes the k best of all ids, in one pass and without sorting the rest.
// Reference: the heap of the best so far is that of Williams' heapsort (CACM 7, 1964).

import { type Candidates, keepDownTo, lastOf } from './candidates.js';
import { nextAbove, type Scores } from './scan.js';

/** Takes the k best ids; of equal scores the lower id is the better one. None has a score of −∞. */
export function takeTopK(c: Candidates, scores: Scores, k: number): void {
  const best = c.ranked; // a heap of the k best scores so far, the lowest at its root
  best.fill(Number.NEGATIVE_INFINITY, 0, k);
  c.max = Number.NEGATIVE_INFINITY;
  c.size = 0;
  let worst = Number.NEGATIVE_INFINITY;
  // of equal scores the lower id, already taken, is better
  for (let id = nextAbove(scores, worst, 0); id < scores.length; id = nextAbove(scores, worst, id + 1)) {
    const score = scores[id] as number;
    if (Number.isNaN(score)) {
      c.max = score;
      return;
    }
    c.max = Math.max(c.max, score);
    c.ids[c.size++] = id;
    replaceWorst(best, k, score);
    worst = best[0] as number;
  }
  keepDownTo(lastOf(best, k, worst), c, scores);
}

/** Puts a score in the place of the heap's lowest, and lets it sink below all lower ones. */
function replaceWorst(heap: Float64Array, size: number, score: number): void {
  let hole = 0;
  for (let child = 1; child < size; child = 2 * hole + 1) {
    if (child + 1 < size && (heap[child + 1] as number) < (heap[child] as number)) {
      child++;
    }
    if ((heap[child] as number) >= score) {
      break;
    }
    heap[hole] = heap[child] as number;
    hole = child;
  }
  heap[hole] = score;
}
