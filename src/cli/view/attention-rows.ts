// Collects what heads look at into rows of plain numbers, as a run's record holds them: all weights where they are few enough, else
// the largest of each row. Knows nothing of engines.

import type { AttentionRecord, AttentionRow } from '../../view/run-record.js';

/** Numbers of all rows together: some thirty megabytes of JSON. */
const MOST_NUMBERS = 3_000_000;
/** Of a row, where not all are kept. */
const FEWEST = 4;
/** The most tokens whose attention is kept. */
const MOST_TOKENS = 1000;

/** A layer of a pass; see `LayerAttention`. */
interface Weights {
  readonly layer: number;
  readonly from: number;
  readonly tokens: number;
  readonly weights: Float32Array;
}

interface Heads {
  readonly nLayer: number;
  readonly nHead: number;
}

/** Why so many tokens are too many; undefined: they are not. */
export function whyNoAttention(tokens: number, { nLayer, nHead }: Heads): string | undefined {
  if (tokens > MOST_TOKENS) {
    return `the run has ${tokens} tokens, and attention is kept of up to ${MOST_TOKENS}`;
  }
  const rows = tokens * nLayer * nHead;
  return 2 * FEWEST * rows > MOST_NUMBERS
    ? `${nLayer} layers of ${nHead} heads are too many for ${tokens} tokens; generate fewer`
    : undefined;
}

export class AttentionRows {
  readonly #layers: AttentionRow[][][];
  /** Of each row; null: all. */
  readonly #largest: number | null;

  /** @param tokens as many as have rows in the end */
  constructor(tokens: number, { nLayer, nHead }: Heads) {
    const rows = tokens * nLayer * nHead;
    this.#largest = (rows * (tokens + 1)) / 2 <= MOST_NUMBERS ? null : Math.floor(MOST_NUMBERS / (2 * rows));
    this.#layers = Array.from({ length: nLayer }, () => Array.from({ length: nHead }, () => []));
  }

  get record(): AttentionRecord {
    return { layers: this.#layers };
  }

  /** Tokens come in order. */
  add({ layer, from, tokens: T, weights }: Weights): void {
    const heads = this.#layers[layer] as AttentionRow[][];
    for (const [head, rows] of heads.entries()) {
      for (let t = 0; t < T; t++) {
        const start = (head * T + t) * (from + T);
        rows.push(this.#row(weights.subarray(start, start + from + t + 1)));
      }
    }
  }

  #row(weights: Float32Array): AttentionRow {
    const most = this.#largest;
    if (most === null || weights.length <= 2 * most) {
      return Array.from(weights, digits);
    }
    const top = largestOf(weights, most);
    const all = weights.reduce((sum, weight) => sum + weight, 0);
    const rest = top.reduce((left, position) => left - (weights[position] as number), all);
    const pairs = top.map((position) => [position, digits(weights[position] as number)] as const);
    return { top: pairs, rest: digits(Math.max(0, rest)) };
  }
}

/** Positions of the largest weights, in order; of equal ones the first. Plain loops: a long run has tens of thousands of rows. */
function largestOf(weights: Float32Array, count: number): number[] {
  const sorted = weights.slice().sort();
  const least = sorted[sorted.length - count] as number;
  let equal = sorted.lastIndexOf(least) - (sorted.length - count) + 1; // so many that are no larger are taken
  const positions: number[] = [];
  for (let position = 0; position < weights.length; position++) {
    const weight = weights[position] as number;
    if (weight > least || (weight === least && equal-- > 0)) {
      positions.push(position);
    }
  }
  return positions;
}

/** Seven significant digits: what a float32 has. */
function digits(x: number): number {
  return Number(x.toPrecision(7));
}
