// The k best of a long array of scores, best first, without sorting the rest: a heap of k ids whose root is the worst kept.
// Equal scores: the lower id is the better one. Knows nothing of probabilities.
// Reference: the selection and the sort of Williams' heapsort (CACM 7, 1964).

export type Scores = Float32Array | Float64Array;

/** True if id a ranks below id b. */
function isWorse(scores: Scores, a: number, b: number): boolean {
  const scoreA = scores[a] as number;
  const scoreB = scores[b] as number;
  return scoreA < scoreB || (scoreA === scoreB && a > b);
}

/** Puts id at the root of heap[0 … size) and lets it sink below every worse one. */
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

/** Writes the ids of the k highest scores into out[0 … k), best first. Takes 1 ≤ k ≤ scores.length; out holds at least k. */
export function selectTop(scores: Scores, k: number, out: Int32Array): void {
  for (let id = 0; id < k; id++) {
    out[id] = id;
  }
  for (let root = (k >> 1) - 1; root >= 0; root--) {
    sink(out, k, root, out[root] as number, scores);
  }
  let worst = scores[out[0] as number] as number;
  for (let id = k; id < scores.length; id++) {
    if ((scores[id] as number) <= worst) {
      continue; // an equal score has a lower id already
    }
    sink(out, k, 0, id, scores);
    worst = scores[out[0] as number] as number;
  }
  for (let size = k - 1; size > 0; size--) {
    const last = out[size] as number;
    out[size] = out[0] as number; // the worst of those left goes behind them
    sink(out, size, 0, last, scores);
  }
}
