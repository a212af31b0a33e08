// A GGUF file as a file of weights: its tensors under the names of Hugging Face, in the order of values that these have there.
// A matrix may be stored with its rows in another order, or turned: it is read into its order a part at a time, so that there
// is never a second copy of the model. Knows nothing of which tensors a model needs.

import { KvgenError } from '../errors.js';
import type { OpenFile } from '../files/open-file.js';
import type { GgufHeader, GgufTensor } from '../gguf/header.js';
import { BLOCK_READERS, type ReadBlocks } from './ggml-blocks.js';
import type { TensorEntry, WeightFile } from './weight-file.js';

/** Bytes that are read at once. */
const PART_BYTES = 4e6;
/** Values of rows that are turned at once. */
const TURNED_VALUES = 1e6;

/** Rows are stored in units of neighbours, whose order is another one. */
export interface RowOrder {
  /** Rows of a unit. */
  readonly rows: number;
  /** Which unit of the file is unit number `unit`? */
  readonly unitOf?: (unit: number) => number;
  /** Which row of its unit in the file is row number `row` of the unit? */
  readonly rowOf?: (row: number) => number;
}

/** What a tensor of a GGUF file is called elsewhere, and how it lies in the file. */
export interface Placement {
  readonly name: string;
  readonly order?: RowOrder | undefined;
  /** Its rows are the columns elsewhere. */
  readonly isTurned?: boolean | undefined;
}

interface Stored {
  readonly tensor: GgufTensor;
  readonly placement: Placement;
}

export class GgufFile implements WeightFile {
  readonly path: string;
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly #file: OpenFile;
  readonly #stored = new Map<TensorEntry, Stored>();

  /**
   * @param file closed with this one
   * @param place undefined: the tensor is no weight
   * @throws KvgenError for a type of blocks that is not computed
   */
  constructor(file: OpenFile, header: GgufHeader, place: (name: string) => Placement | undefined) {
    this.path = file.path;
    this.#file = file;
    const entries = new Map<string, TensorEntry>();
    for (const tensor of header.tensors.values()) {
      const placement = place(tensor.name);
      if (placement !== undefined) {
        const entry = entryOf(tensor, placement);
        readerOf(file.path, tensor);
        checkOrder(file.path, tensor, placement);
        entries.set(placement.name, entry);
        this.#stored.set(entry, { tensor, placement });
      }
    }
    this.entries = entries;
  }

  async read(entry: TensorEntry, into: Float32Array, first: number): Promise<void> {
    const { tensor, placement } = this.#stored.get(entry) as Stored;
    if (placement.isTurned) {
      await this.#readTurned(tensor, into, first);
    } else if (placement.order !== undefined) {
      await this.#readOrdered(tensor, placement.order, into, first);
    } else {
      await readTensor(this.#file, tensor, into, first);
    }
  }

  async readBytes(entry: TensorEntry, into: Uint8Array): Promise<void> {
    await fill(this.#file, into, entry.offset, entry.name);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  /** Unit by unit: each lies in one piece. */
  async #readOrdered(tensor: GgufTensor, order: RowOrder, into: Float32Array, first: number): Promise<void> {
    const { rows, unitOf = same, rowOf = same } = order;
    const width = rowWidth(tensor);
    const unitValues = rows * width;
    const stage = new Float32Array(unitValues);
    const end = first + into.length;
    for (let unit = Math.floor(first / unitValues); unit * unitValues < end; unit++) {
      await readTensor(this.#file, tensor, stage, unitOf(unit) * unitValues);
      for (let row = 0; row < rows; row++) {
        const at = unit * unitValues + row * width;
        const from = Math.max(at, first);
        const to = Math.min(at + width, end);
        if (from < to) {
          const source = rowOf(row) * width - at;
          into.set(stage.subarray(source + from, source + to), from - first);
        }
      }
    }
  }

  /** [columns, rows] of what is stored as [rows, columns]; some rows at a time, each a column of what is wanted. */
  async #readTurned(tensor: GgufTensor, into: Float32Array, first: number): Promise<void> {
    const [rows = 1] = tensor.shape;
    const width = rowWidth(tensor);
    const most = Math.max(1, Math.floor(TURNED_VALUES / width));
    const [top, bottom] = [Math.floor(first / rows), Math.ceil((first + into.length) / rows)];
    for (let row = 0; row < rows; row += most) {
      const count = Math.min(most, rows - row);
      const stage = new Float32Array(count * width);
      await readTensor(this.#file, tensor, stage, row * width);
      for (let column = top; column < bottom; column++) {
        const at = column * rows + row - first;
        for (let i = Math.max(0, -at); i < count && at + i < into.length; i++) {
          into[at + i] = stage[i * width + column] as number;
        }
      }
    }
  }
}

/**
 * Fills `into` with values of a tensor as they are stored, from value number `first` on.
 * @throws KvgenError for a type that is not computed
 */
export async function readTensor(file: OpenFile, tensor: GgufTensor, into: Float32Array, first: number): Promise<void> {
  const { values, bytes } = tensor.type;
  const readBlocks = readerOf(file.path, tensor);
  const where = `${file.path}: ${tensor.name}`;
  const most = Math.floor(PART_BYTES / bytes);
  for (let at = 0; at < into.length; ) {
    const skipped = (first + at) % values;
    const whole = Math.floor((into.length - at) / values);
    const count = skipped === 0 && whole > 0 ? Math.min(whole, most) : 1;
    const blocks = new Uint8Array(count * bytes);
    await fill(file, blocks, tensor.offset + ((first + at - skipped) / values) * bytes, where);
    if (skipped === 0 && whole > 0) {
      readBlocks(blocks, into.subarray(at, at + count * values));
      at += count * values;
    } else {
      const stage = new Float32Array(values);
      readBlocks(blocks, stage);
      const part = stage.subarray(skipped, skipped + into.length - at);
      into.set(part, at);
      at += part.length;
    }
  }
}

function readerOf(path: string, { name, type }: GgufTensor): ReadBlocks {
  const reader = BLOCK_READERS.get(type.name);
  if (reader === undefined) {
    const known = [...BLOCK_READERS.keys()].join(', ');
    const found = `found ${type.name}; use another quantization of the model`;
    throw new KvgenError(`${path}: ${name}: expected type ${known}, ${found}`);
  }
  return reader;
}

async function fill(file: OpenFile, bytes: Uint8Array, from: number, what: string): Promise<void> {
  const found = await file.read(bytes, from);
  if (found < bytes.length) {
    throw new KvgenError(`${what}: expected ${bytes.length} bytes, found ${found}; download the file again`);
  }
}

function entryOf({ name, type, shape, offset, byteLength }: GgufTensor, { isTurned }: Placement): TensorEntry {
  return { name, dtype: type.name, shape: isTurned ? shape.toReversed() : shape, offset, byteLength };
}

/** @throws KvgenError for a tensor that cannot have that order */
function checkOrder(path: string, { name, shape }: GgufTensor, { order, isTurned }: Placement): void {
  const [rows = 0] = shape;
  if (order !== undefined && rows % order.rows !== 0) {
    throw new KvgenError(`${path}: ${name}: expected a multiple of ${order.rows} rows, found [${shape.join(', ')}]`);
  }
  if (isTurned && shape.length !== 2) {
    throw new KvgenError(`${path}: ${name}: expected a matrix, found [${shape.join(', ')}]`);
  }
}

/** Values of what the first axis counts. */
function rowWidth({ shape: [, ...inner] }: GgufTensor): number {
  return inner.reduce((product, n) => product * n, 1);
}

function same(index: number): number {
  return index;
}
