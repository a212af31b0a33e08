// The ids that may still be drawn, between one filter and the next. They always are in their own order: what is ranked is
// their scores alone, so nothing has to be put back in order for the draw.

import { exp } from '../exp.js';
import { argmax, type Scores } from './scan.js';

/** They are ids[0 … size). The arrays have a place for each id of the vocabulary and serve every step. */
export class Candidates {
  readonly ids: Int32Array;
  /** What a filter or the draw computes for each candidate. */
  readonly weights: Float64Array;
  /** Scores that a filter ranks. */
  readonly ranked: Float64Array;
  size = 0;
  /** The highest score; NaN if a score is NaN. */
  max = Number.NaN;

  constructor(vocab: number) {
    this.ids = new Int32Array(vocab);
    this.weights = new Float64Array(vocab);
    this.ranked = new Float64Array(vocab);
  }

  takeAll(scores: Scores): void {
    this.max = scores[argmax(scores)] ?? Number.NaN;
    this.fill();
  }

  /** Puts every id in its place. */
  fill(): void {
    this.size = this.ids.length;
    for (let id = 0; id < this.size; id++) {
      this.ids[id] = id;
    }
  }
}

/** Sets each candidate's weight to exp((score − max) / temperature). Returns the sum of the weights. */
export function weigh({ ids, weights, size, max }: Candidates, scores: Scores, temperature: number): number {
  let total = 0;
  for (let i = 0; i < size; i++) {
    const weight = exp(((scores[ids[i] as number] as number) - max) / temperature);
    weights[i] = weight;
    total += weight;
  }
  return total;
}

/** Where a filter ends: the lowest score that it keeps, and how many of the ids that share it. */
export interface Last {
  readonly score: number;
  readonly ties: number;
}

/** The last of the `count` best; `best` holds the scores of these, in any order. */
export function lastOf(best: Float64Array, count: number, score: number): Last {
  let ties = count;
  for (let i = 0; i < count; i++) {
    ties -= (best[i] as number) > score ? 1 : 0;
  }
  return { score, ties };
}

/** Keeps the candidates down to the last. Of those that share its score the lower ids are the better ones. */
export function keepDownTo({ score, ties }: Last, c: Candidates, scores: Scores): void {
  const { ids, size } = c;
  let kept = 0;
  let left = ties;
  for (let i = 0; i < size; i++) {
    const id = ids[i] as number;
    const other = scores[id] as number;
    if (other > score) {
      ids[kept++] = id;
    } else if (other === score && left > 0) {
      ids[kept++] = id;
      left--;
    }
  }
  c.size = kept;
}
