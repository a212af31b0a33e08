// A matrix in linear memory, and products with it. The numbers lie as kernels/products.ts describes, rows and columns filled
// up with zeros to multiples of 16, so that no kernel meets an odd size.

import { MAX_TOKENS } from './control.js';
import type { Kernels, Pointer } from './kernels.js';
import type { MemoryPlan } from './linear-memory.js';
import type { Range } from './thread.js';

/** What weights are kept as: as they are, or as 8-bit integers with one scale for each output row. */
export type WeightKind = 'float32' | 'int8';

export interface Matrix {
  readonly at: Pointer;
  /** One for each row; 0: the numbers are float32. */
  readonly scales: Pointer;
  /** Outputs, a multiple of 16. */
  readonly rows: number;
  /** Inputs, a multiple of 16. */
  readonly columns: number;
}

export function filledUp(n: number): number {
  return Math.ceil(n / 16) * 16;
}

/** @param rows outputs @param columns inputs */
export function planMatrix(plan: Pick<MemoryPlan, 'reserve'>, kind: WeightKind, rows: number, columns: number): Matrix {
  const [N, K] = [filledUp(rows), filledUp(columns)];
  const at = plan.reserve(kind === 'int8' ? N * K : 4 * N * K);
  return { at, scales: kind === 'int8' ? plan.reserve(4 * N) : 0, rows: N, columns: K };
}

export interface Linear extends Matrix {
  readonly bias: Pointer; // [rows]; 0: none
}

export function planLinear(
  plan: Pick<MemoryPlan, 'reserve'>,
  kind: WeightKind,
  rows: number,
  columns: number,
  hasBias: boolean,
): Linear {
  const matrix = planMatrix(plan, kind, rows, columns);
  return { ...matrix, bias: hasBias ? plan.reserve(4 * matrix.rows) : 0 };
}

/** Bytes of its numbers, without the scales. */
export function matrixBytes({ rows, columns, scales }: Pick<Matrix, 'rows' | 'columns' | 'scales'>): number {
  return rows * columns * (scales === 0 ? 4 : 1);
}

/** Some rows of a matrix as one of its own. @param first a multiple of 4 @param rows a multiple of 4 */
export function rowsOf({ at, scales, columns }: Matrix, first: number, rows: number): Matrix {
  return {
    at: at + matrixBytes({ scales, columns, rows: first }),
    scales: scales === 0 ? 0 : scales + 4 * first,
    rows,
    columns,
  };
}

/** How the numbers of an int8 matrix lie: see kernels/products.ts. */
export function int8Shape({ rows, columns }: Matrix): readonly number[] {
  return [rows / 4, columns / 8, 4, 8];
}

/** Where one thread keeps what it makes for itself. */
export interface Scratch {
  /** float32 [T][columns] */
  readonly normed: Pointer;
  /** int16 [T][columns] */
  readonly integers: Pointer;
  /** float32 [T] */
  readonly scales: Pointer;
}

/** Room for MAX_TOKENS vectors. @param C numbers of the widest normed one @param widest those of the widest that is multiplied */
export function planScratch(plan: Pick<MemoryPlan, 'reserve'>, C: number, widest: number): Scratch {
  return {
    normed: plan.reserve(4 * MAX_TOKENS * C),
    integers: plan.reserve(2 * MAX_TOKENS * widest),
    scales: plan.reserve(4 * MAX_TOKENS),
  };
}

/**
 * The largest integer of an activation: 13 bits with the sign, or as many as no sum overflows with. Each of the four lanes
 * of a sum adds K/4 products of at most 127 · maxActivation, and must stay below 2^31: up to K = 16,512 that holds for 4095.
 */
export function maxActivation(K: number): number {
  return Math.min(4095, Math.floor((2 ** 31 - 1) / (127 * (K / 4))));
}

/** T vectors in the form that a matrix is multiplied with. */
export type Prepared = Pointer;

/** Brings T vectors [T][columns] into that form: float32 as they are, for int8 as integers with a scale each. */
export function prepare(kernels: Kernels, { scales, columns }: Matrix, x: Pointer, T: number, own: Scratch): Prepared {
  if (scales === 0) {
    return x;
  }
  kernels.quantizeActivations(x, columns, T, maxActivation(columns), own.integers, own.scales);
  return own.integers;
}

/**
 * Rows `from` … `to` of a matrix times T vectors, plus bias.
 * @param bias one number for each row; 0: none
 * @param y [T][stride]
 * @param add 1: y += the product; 0: y = the product. A number, since passing a boolean costs as much as a small product
 */
export function multiply(
  kernels: Kernels,
  { at, scales, columns }: Matrix,
  bias: Pointer,
  x: Prepared,
  T: number,
  y: Pointer,
  stride: number,
  [from, to]: Range,
  add: 0 | 1,
  own: Scratch,
): void {
  if (scales === 0) {
    kernels.productFloat32(at, bias, x, y, stride, from, to, columns, T, add);
  } else {
    kernels.productInt8(at, scales, bias, x, own.scales, y, stride, from, to, columns, T, add);
  }
}
