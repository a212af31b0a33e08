// Values of a tensor that lie apart in their file: transposed, stepped, or a part of a larger one. The file is read in
// windows of bounded size, each of which holds as many axes as fit; so a transposed matrix is read once, not once a value.
// Knows nothing of formats or of what the values are.

import { valueCount } from './tensor-values.js';
import type { TensorEntry } from './weight-file.js';

/** Fills all of `bytes` from byte `from` of the file on. */
export type Fill = (bytes: Uint8Array, from: number) => Promise<void>;

/** Values as they are stored, each as wide as an element of the array. */
export type Words = Uint8Array | Uint16Array | Uint32Array | Float64Array;

const WINDOW_BYTES = 8e6;

/** What of a tensor is wanted: so many indices of each axis, from `start` on. */
interface Box {
  readonly start: readonly number[];
  readonly counts: readonly number[];
}

interface Axis {
  readonly count: number;
  /** From one index to the next: in the file, and in the array, in values. */
  readonly stride: number;
  readonly step: number;
}

/** @param into is filled with the values from number `first` on, counted with the last axis fastest */
export async function gatherValues(entry: TensorEntry, into: Words, first: number, fill: Fill): Promise<void> {
  const { strides, shape, offset } = entry;
  const size = into.BYTES_PER_ELEMENT;
  if (strides === undefined) {
    await fill(bytesOf(into), offset + size * first);
    return;
  }
  let at = 0;
  for (const { start, counts } of into.length === 0 ? [] : boxes(shape, first, first + into.length)) {
    const from = start.reduce((sum, index, axis) => sum + index * (strides[axis] as number), 0);
    await gatherBox(axesOf(counts, strides), into, at, offset + size * from, fill);
    at += valueCount(counts);
  }
}

/** Cuts a run of values into boxes: the rest of a first row, whole rows, the beginning of a last one. */
function* boxes(shape: readonly number[], first: number, end: number): Generator<Box, void> {
  const [, ...inner] = shape;
  if (shape.length === 0) {
    yield { start: [], counts: [] };
    return;
  }
  const row = valueCount(inner);
  for (let at = first; at < end; ) {
    const index = Math.floor(at / row);
    const rows = at % row === 0 ? Math.floor((end - at) / row) : 0;
    if (rows > 0) {
      yield { start: [index, ...inner.map(() => 0)], counts: [rows, ...inner] };
      at += rows * row;
      continue;
    }
    const stop = Math.min(end, (index + 1) * row);
    for (const { start, counts } of boxes(inner, at - index * row, stop - index * row)) {
      yield { start: [index, ...start], counts: [1, ...counts] };
    }
    at = stop;
  }
}

/** In the order in which they lie in the file, the densest first. */
function axesOf(counts: readonly number[], strides: readonly number[]): Axis[] {
  let step = 1;
  const axes: Axis[] = [];
  for (let axis = counts.length - 1; axis >= 0; axis--) {
    const count = counts[axis] as number;
    axes.push({ count, stride: strides[axis] as number, step });
    step *= count;
  }
  return axes.filter(({ count }) => count > 1).sort((a, b) => a.stride - b.stride);
}

/** Reads a box in as few windows as hold it: one where it fits, else so many indices of its sparsest axis at a time. */
async function gatherBox(axes: readonly Axis[], into: Words, to: number, from: number, fill: Fill): Promise<void> {
  const size = into.BYTES_PER_ELEMENT;
  const room = WINDOW_BYTES / size;
  const span = spanOf(axes);
  const sparsest = axes.at(-1);
  if (span <= room || sparsest === undefined) {
    const window = wordsLike(into, span);
    await fill(bytesOf(window), from);
    scatter(window, 0, into, to, axes);
    return;
  }
  const { count, stride, step } = sparsest;
  const denser = axes.slice(0, -1);
  const most = Math.max(1, Math.floor((room - spanOf(denser)) / stride) + 1);
  for (let i = 0; i < count; i += most) {
    const part = Math.min(most, count - i);
    const cut = part === 1 ? denser : [...denser, { count: part, stride, step }];
    await gatherBox(cut, into, to + i * step, from + size * i * stride, fill);
  }
}

/** From the first of their values to the last. */
function spanOf(axes: readonly Axis[]): number {
  return axes.reduce((span, { count, stride }) => span + (count - 1) * stride, 1);
}

/** Lays the values of a window out: the two densest axes as a plane, the others around it. */
function scatter(from: Words, at: number, into: Words, to: number, axes: readonly Axis[]): void {
  const [inner = ONE, outer = ONE, ...others] = axes;
  const sparsest = others.pop();
  if (sparsest === undefined) {
    scatterPlane(from, at, into, to, inner, outer);
    return;
  }
  for (let i = 0; i < sparsest.count; i++) {
    scatter(from, at + i * sparsest.stride, into, to + i * sparsest.step, [inner, outer, ...others]);
  }
}

const ONE: Axis = { count: 1, stride: 0, step: 0 };
/** Values on a side of a square that fits the fastest memory, in which one of two orders must be a bad one. */
const SIDE = 32;

function scatterPlane(from: Words, at: number, into: Words, to: number, inner: Axis, outer: Axis): void {
  for (let i = 0; i < outer.count; i += SIDE) {
    const rows = Math.min(outer.count, i + SIDE);
    for (let j = 0; j < inner.count; j += SIDE) {
      const columns = Math.min(inner.count, j + SIDE);
      for (let row = i; row < rows; row++) {
        let source = at + row * outer.stride + j * inner.stride;
        let target = to + row * outer.step + j * inner.step;
        for (let column = j; column < columns; column++) {
          into[target] = from[source] as number;
          source += inner.stride;
          target += inner.step;
        }
      }
    }
  }
}

function bytesOf(words: Words): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

function wordsLike(words: Words, length: number): Words {
  switch (words.BYTES_PER_ELEMENT) {
    case 1:
      return new Uint8Array(length);
    case 2:
      return new Uint16Array(length);
    case 4:
      return new Uint32Array(length);
    default:
      return new Float64Array(length);
  }
}
