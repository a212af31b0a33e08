// The keys and values of some positions as plain arrays, which every cache can export and import: cuts them into parts
// and joins parts again. Knows nothing of tensors or files.

import { alignedFloat32 } from '../weights/tensor-values.js';

/** The keys and values of `length` positions of one sequence: for each layer a pair of [nKvHead, length, headDim]. */
export interface KvRows {
  readonly length: number;
  readonly nKvHead: number;
  readonly headDim: number;
  readonly layers: readonly { readonly k: Float32Array; readonly v: Float32Array }[];
}

/** Copies positions [from, to). */
export function sliceRows({ length, nKvHead, headDim, layers }: KvRows, from: number, to: number): KvRows {
  const slice = (values: Float32Array) => {
    const sliced = new Float32Array(nKvHead * (to - from) * headDim);
    for (let head = 0; head < nKvHead; head++) {
      const start = head * length * headDim;
      sliced.set(values.subarray(start + from * headDim, start + to * headDim), head * (to - from) * headDim);
    }
    return sliced;
  };
  const sliced = layers.map(({ k, v }) => ({ k: slice(k), v: slice(v) }));
  return { length: to - from, nKvHead, headDim, layers: sliced };
}

/** Joins parts in arrays that are made once, of a length that is known before: so each value is copied only once. */
export class RowsCollector {
  readonly #total: number;
  #rows: KvRows = { length: 0, nKvHead: 0, headDim: 0, layers: [] };
  #length = 0;

  /** @param total the most positions that it takes */
  constructor(total: number) {
    this.#total = total;
  }

  /** Copies the first `most` positions of a part, or as many as there is room for. */
  add(part: KvRows, most: number): void {
    const take = Math.min(most, this.#total - this.#length);
    if (take === 0) {
      return;
    }
    if (this.#length === 0) {
      const { nKvHead, headDim } = part;
      const whole = () => alignedFloat32(nKvHead * this.#total * headDim);
      const layers = part.layers.map(() => ({ k: whole(), v: whole() }));
      this.#rows = { length: this.#total, nKvHead, headDim, layers };
    }
    for (const [layer, { k, v }] of part.layers.entries()) {
      const target = this.#rows.layers[layer] as KvRows['layers'][number];
      this.#copy(k, target.k, part.length, take);
      this.#copy(v, target.v, part.length, take);
    }
    this.#length += take;
  }

  /** Returns the first `length` of the positions that were added. */
  finish(length: number): KvRows {
    return length === this.#rows.length ? this.#rows : sliceRows(this.#rows, 0, length);
  }

  #copy(from: Float32Array, to: Float32Array, length: number, take: number): void {
    const { nKvHead, headDim } = this.#rows;
    for (let head = 0; head < nKvHead; head++) {
      const start = head * length * headDim;
      const target = (head * this.#total + this.#length) * headDim;
      to.set(from.subarray(start, start + take * headDim), target);
    }
  }
}
