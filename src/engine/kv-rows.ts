// The keys and values of some positions as plain arrays, which every cache can export and import: cuts them into parts,
// packs these, and joins them again. Knows nothing of tensors or files.

import { narrowFloat16, widenFloat16 } from '../weights/float16.js';
import { alignedFloat32 } from '../weights/tensor-values.js';

/** The keys and values of `length` positions of one sequence: for each layer a pair of [nKvHead, length, headDim]. */
export interface KvRows {
  readonly length: number;
  readonly nKvHead: number;
  readonly headDim: number;
  readonly layers: readonly { readonly k: Float32Array; readonly v: Float32Array }[];
}

/** How keys and values are stored. */
export type RowsDtype = 'float32' | 'float16';

/** Keys and values as they are stored: an array of whole numbers holds the bits of float16. */
export interface PackedRows extends Omit<KvRows, 'layers'> {
  readonly layers: readonly { readonly k: Float32Array | Uint16Array; readonly v: Float32Array | Uint16Array }[];
}

/** As float16; where a number has no finite float16, all stay as they are. */
export function packFloat16(rows: KvRows): PackedRows {
  const packed = rows.layers.map(({ k, v }) => ({ k: new Uint16Array(k.length), v: new Uint16Array(v.length) }));
  const fits = rows.layers.every(({ k, v }, layer) => {
    const into = packed[layer] as (typeof packed)[number];
    return narrowFloat16(k, into.k) && narrowFloat16(v, into.v);
  });
  return fits ? { ...rows, layers: packed } : rows;
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

  /** Copies the first `most` positions of a part, or as many as there is room for. float16 becomes float32. */
  add(part: PackedRows, most: number): void {
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

  #copy(from: Float32Array | Uint16Array, to: Float32Array, length: number, take: number): void {
    const { nKvHead, headDim } = this.#rows;
    for (let head = 0; head < nKvHead; head++) {
      const start = head * length * headDim;
      const target = (head * this.#total + this.#length) * headDim;
      const values = from.subarray(start, start + take * headDim);
      if (values instanceof Uint16Array) {
        widenFloat16(values, to.subarray(target));
      } else {
        to.set(values, target);
      }
    }
  }
}
