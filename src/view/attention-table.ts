// Weights of attention in bytes: where the entries of a row lie, and how they are read. A row's weights are whole 255ths, and
// what its entries do not sum to is the rest, so that a row is always 1. Knows nothing of files or of the page.

/** How rows are laid out: `layers × heads × rows` of them, each with the largest `most` entries, or all. */
export interface AttentionShape {
  readonly layers: number;
  readonly heads: number;
  /** Queries: positions that were run. */
  readonly rows: number;
  /** Entries of a row at most; null: all of them. */
  readonly most: number | null;
}

export const WHOLE = 255;

/** A row as it is read: weights in 255ths, in the order of positions. */
export interface TableRow {
  readonly entries: readonly (readonly [position: number, weight: number])[];
  /** 255ths of all positions that are no entry. */
  readonly rest: number;
}

/** Entries of the rows before row `row` of one head. */
export function entriesBefore({ most, rows }: AttentionShape, row: number): number {
  const k = most ?? rows;
  return row <= k ? (row * (row + 1)) / 2 : (k * (k + 1)) / 2 + (row - k) * k;
}

/** Bytes of a table: weights, and where rows are not whole, the low and then the high bytes of their positions. */
export function tableBytes(shape: AttentionShape): number {
  return entryCount(shape) * (shape.most === null ? 1 : 3);
}

export function entryCount(shape: AttentionShape): number {
  return shape.layers * shape.heads * entriesBefore(shape, shape.rows);
}

export class AttentionTable {
  readonly shape: AttentionShape;
  readonly #bytes: Uint8Array;

  constructor(shape: AttentionShape, bytes: Uint8Array) {
    this.shape = shape;
    this.#bytes = bytes;
  }

  /** Calls with each entry that is not 0. */
  forEach(layer: number, head: number, row: number, tell: (position: number, weight: number) => void): void {
    const { shape } = this;
    const all = entryCount(shape);
    const first = (layer * shape.heads + head) * entriesBefore(shape, shape.rows);
    const [from, to] = [first + entriesBefore(shape, row), first + entriesBefore(shape, row + 1)];
    for (let at = from; at < to; at++) {
      const weight = this.#bytes[at] as number;
      if (weight > 0) {
        tell(shape.most === null ? at - from : this.#position(at, all), weight);
      }
    }
  }

  row(layer: number, head: number, row: number): TableRow {
    const entries: [number, number][] = [];
    let rest = WHOLE;
    this.forEach(layer, head, row, (position, weight) => {
      entries.push([position, weight]);
      rest -= weight;
    });
    return { entries, rest };
  }

  #position(at: number, all: number): number {
    return (this.#bytes[all + at] as number) + 256 * (this.#bytes[2 * all + at] as number);
  }
}
