// Keys and values of some positions as plain arrays: cutting them into parts, and putting parts together again.

/** One pair a layer, [nHead, length, headDim] each. */
export interface KvRows {
  readonly length: number;
  readonly layers: readonly { readonly k: Float32Array; readonly v: Float32Array }[];
}

export type Allocate = (length: number) => Float32Array;

/** Copies positions [from, to). */
export function sliceRows({ length, layers }: KvRows, from: number, to: number, nHead: number): KvRows {
  const slice = (values: Float32Array) => {
    const headDim = values.length / nHead / Math.max(1, length);
    const sliced = new Float32Array(nHead * (to - from) * headDim);
    for (let head = 0; head < nHead; head++) {
      const start = head * length * headDim;
      sliced.set(values.subarray(start + from * headDim, start + to * headDim), head * (to - from) * headDim);
    }
    return sliced;
  };
  return { length: to - from, layers: layers.map(({ k, v }) => ({ k: slice(k), v: slice(v) })) };
}

/** Puts parts together, one after the other, in arrays of a length that is known before: each value is copied once. */
export class RowsCollector {
  readonly #total: number;
  readonly #nHead: number;
  readonly #allocate: Allocate;
  #layers: KvRows['layers'] = [];
  #length = 0;

  /** @param total positions, at most */
  constructor(total: number, nHead: number, allocate: Allocate) {
    this.#total = total;
    this.#nHead = nHead;
    this.#allocate = allocate;
  }

  /** Adds the first `most` positions of a part, or as many as there is room for; its arrays are borrowed. */
  add({ length, layers }: KvRows, most: number): void {
    const take = Math.min(most, this.#total - this.#length);
    if (take === 0) {
      return;
    }
    if (this.#length === 0) {
      const whole = (values: Float32Array) => this.#allocate((values.length / length) * this.#total);
      this.#layers = layers.map(({ k, v }) => ({ k: whole(k), v: whole(v) }));
    }
    for (const [layer, { k, v }] of layers.entries()) {
      const target = this.#layers[layer] as { k: Float32Array; v: Float32Array };
      this.#copy(k, target.k, length, take);
      this.#copy(v, target.v, length, take);
    }
    this.#length += take;
  }

  /** The first `length` of the positions that were added. */
  finish(length: number): KvRows {
    const whole = { length: this.#total, layers: this.#layers };
    if (length === 0) {
      return { length: 0, layers: [] };
    }
    return length === this.#total ? whole : sliceRows(whole, 0, length, this.#nHead);
  }

  #copy(from: Float32Array, to: Float32Array, length: number, take: number): void {
    const headDim = from.length / this.#nHead / length;
    for (let head = 0; head < this.#nHead; head++) {
      const start = head * length * headDim;
      const target = (head * this.#total + this.#length) * headDim;
      to.set(from.subarray(start, start + take * headDim), target);
    }
  }
}
