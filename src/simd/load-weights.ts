// Brings the weights of a model into linear memory, one tensor at a time: each is read into a stage of bounded size, and from
// there all threads lay it out. A matrix that is stored as int8 lies in its file as it does here, and is read into its place.
// There is never a second copy of the model.

import { KvgenError } from '../errors.js';
import { readValues } from '../weights/tensor-values.js';
import type { Int8Matrix, NamedTensor } from '../weights/weight-file.js';
import { layJob } from './jobs.js';
import type { Pointer } from './kernels.js';
import type { LinearMemory } from './linear-memory.js';
import { int8Shape } from './matrix.js';
import type { Place, Spread } from './simd-model.js';
import type { Team } from './team.js';

/** Rows of a large matrix are read in parts of about so many bytes. */
const PART_BYTES = 8e6;

type MatrixPlace = Extract<Place, { kind: 'matrix' }>;
type VectorPlace = Extract<Place, { kind: 'vector' }>;

/** Reads tensors into their places. */
export class Loader {
  readonly #memory: LinearMemory;
  readonly #team: Team;

  constructor(memory: LinearMemory, team: Team) {
    this.#memory = memory;
    this.#team = team;
  }

  async load(tensor: NamedTensor, place: Place): Promise<void> {
    if (place.kind === 'vector') {
      await this.#loadVector(tensor, place);
    } else if (tensor.int8 !== undefined && place.matrix.scales !== 0) {
      await this.#loadInt8(tensor.int8, place);
    } else if (place.lines === 'rows') {
      await this.#loadRows(tensor, place);
    } else {
      await this.#loadColumns(tensor, place);
    }
  }

  async #loadVector(tensor: NamedTensor, { at, spread }: VectorPlace): Promise<void> {
    const values = await readValues(tensor);
    const target = this.#memory.floats(at, (values.length / spread.group) * spread.padded);
    spreadInto(target, 0, values, spread);
  }

  async #loadInt8({ where, shape, read }: Int8Matrix, { matrix }: MatrixPlace): Promise<void> {
    const expected = int8Shape(matrix).join(', ');
    if (shape.join(', ') !== expected) {
      throw new KvgenError(`${where}: expected I8 [${expected}], found [${shape.join(', ')}]`);
    }
    const { at, scales, rows, columns } = matrix;
    await read(this.#memory.bytes(at, rows * columns), this.#memory.floats(scales, rows));
  }

  /** Rows do not depend on each other, so that a few at a time will do. */
  async #loadRows(tensor: NamedTensor, { matrix, spreadLines, spreadLine }: MatrixPlace): Promise<void> {
    const [stored = 0] = tensor.shape;
    const isFilledUp = spreadLines.group < stored && spreadLines.group !== spreadLines.padded;
    const spread = isFilledUp ? spreadLines : { group: 4, padded: 4 }; // four rows are laid side by side
    const part = Math.max(1, Math.floor(PART_BYTES / (4 * matrix.columns * spread.padded)));
    for (let group = 0; group * spread.padded < matrix.rows; group += part) {
      const [from, row] = [group * spread.group, group * spread.padded];
      const count = Math.min(part * spread.group, Math.max(0, stored - from));
      const lines = Math.min(part * spread.padded, matrix.rows - row);
      const stage = await this.#stage(tensor, from, count, spread, spreadLine, lines, matrix.columns);
      this.#team.run(layJob(stage, 'rows', lines, matrix, row));
      this.#memory.release(stage);
    }
  }

  /** The scale of a row is known when all its numbers are, so that all columns are read first. */
  async #loadColumns(tensor: NamedTensor, { matrix, spreadLines, spreadLine }: MatrixPlace): Promise<void> {
    const [stored = 0] = tensor.shape;
    const stage = await this.#stage(tensor, 0, stored, spreadLines, spreadLine, matrix.columns, matrix.rows);
    this.#team.run(layJob(stage, 'columns', matrix.rows, matrix));
    this.#memory.release(stage);
  }

  /**
   * Reads `count` lines into a stage of `lines` lines of `width` numbers, zeros where nothing is stored.
   * @returns the stage [lines][width], to be released
   */
  async #stage(
    tensor: NamedTensor,
    first: number,
    count: number,
    spreadLines: Spread,
    spreadLine: Spread,
    lines: number,
    width: number,
  ): Promise<Pointer> {
    const at = this.#memory.reserve(4 * lines * width);
    const stage = this.#memory.floats(at, lines * width);
    const [, stored = 0] = tensor.shape;
    if (stored === width && (spreadLines.group === spreadLines.padded || spreadLines.group === count)) {
      await tensor.read(stage.subarray(0, count * width), first * stored);
      stage.fill(0, count * width);
      return at;
    }
    const values = new Float32Array(count * stored);
    await tensor.read(values, first * stored);
    stage.fill(0);
    for (let line = 0; line < count; line++) {
      spreadInto(
        stage,
        width * spreadIndex(line, spreadLines),
        values.subarray(line * stored, (line + 1) * stored),
        spreadLine,
      );
    }
    return at;
  }
}

function spreadIndex(i: number, { group, padded }: Spread): number {
  return Math.floor(i / group) * padded + (i % group);
}

function spreadInto(target: Float32Array, at: number, values: Float32Array, { group, padded }: Spread): void {
  for (let from = 0; from < values.length; from += group) {
    target.set(values.subarray(from, from + group), at + (from / group) * padded);
  }
}
