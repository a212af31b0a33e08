// The k best of many scores, ranked, without sorting the rest.
// Reference: Williams' heapsort (CACM 7, 1964).

import { nextAbove, type Scores } from './scan.js';

/** Does id a rank below id b? */
function isWorse(scores: Scores, a: number, b: number): boolean {
  const scoreA = scores[a] as number;
  const scoreB = scores[b] as number;
  return scoreA < scoreB || (scoreA === scoreB && a > b);
}

/** Puts the id at `root` of heap[0 … size), and lets it sink below all worse ones. */
function sink(heap: Int32Array, size: number, root: number, id: number, scores: Scores): void {
  let hole = root;
  for (let child = 2 * hole + 1; child < size; child = 2 * hole + 1) {
    if (child + 1 < size && isWorse(scores, heap[child + 1] as number, heap[child] as number)) {
      child++;
    }
    if (!isWorse(scores, heap[child] as number, id)) {
      break;
    }
    heap[hole] = heap[child] as number;
    hole = child;
  }
  heap[hole] = id;
}

/**
 * Writes the ids of the k highest scores into out[0 … k), best first, without sorting the rest. The k ids are a heap whose
 * root is the worst of them. Of equal scores the lower id is the better one. Needs 1 ≤ k ≤ scores.length.
 */
export function selectTop(scores: Scores, k: number, out: Int32Array): void {
  for (let id = 0; id < k; id++) {
    out[id] = id;
  }
  for (let root = (k >> 1) - 1; root >= 0; root--) {
    sink(out, k, root, out[root] as number, scores);
  }
  let worst = scores[out[0] as number] as number;
  // of equal scores the lower id, already kept, is better
  for (let id = nextAbove(scores, worst, k); id < scores.length; id = nextAbove(scores, worst, id + 1)) {
    sink(out, k, 0, id, scores);
    worst = scores[out[0] as number] as number;
  }
  for (let size = k - 1; size > 0; size--) {
    const last = out[size] as number;
    out[size] = out[0] as number; // the worst of those that are left goes behind them
    sink(out, size, 0, last, scores);
  }
}
