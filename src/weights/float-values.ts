// Values of a tensor in a file as float32: float32 itself, float16, bfloat16 and float64, each from wherever it lies. Knows
// nothing of formats of files; a format gives it the bytes from a place on.

import { KvgenError } from '../errors.js';
import { widenFloat16 } from './float16.js';
import { type Fill, gatherValues, type Words } from './strided.js';
import type { TensorEntry } from './weight-file.js';

export const BYTES_PER_FLOAT: Readonly<Record<string, number>> = { F32: 4, F16: 2, BF16: 2, F64: 8 };

/** Values of float64 that are read at a time. */
const PART = 1 << 20;

/**
 * @param into is filled with the values from number `first` on
 * @param where file and name, for messages
 * @throws KvgenError for a dtype that is not a float; what `fill` throws
 */
export async function readFloats(
  where: string,
  entry: TensorEntry,
  into: Float32Array,
  first: number,
  fill: Fill,
): Promise<void> {
  const { dtype } = entry;
  if (dtype === 'F32') {
    await gatherValues(entry, new Uint32Array(into.buffer, into.byteOffset, into.length), first, fill);
  } else if (dtype === 'F16' || dtype === 'BF16') {
    const halves = new Uint16Array(into.length);
    await gatherValues(entry, halves, first, fill);
    (dtype === 'F16' ? widenFloat16 : widenBfloat16)(halves, into);
  } else if (dtype === 'F64') {
    await readDoubles(entry, into, first, fill);
  } else {
    throw new KvgenError(`${where}: expected dtype ${Object.keys(BYTES_PER_FLOAT).join(', ')}, found ${dtype}`);
  }
}

async function readDoubles(entry: TensorEntry, into: Float32Array, first: number, fill: Fill): Promise<void> {
  const part = entry.strides === undefined ? PART : into.length; // parts of a transposed matrix lie all over it
  for (let done = 0; done < into.length; done += part) {
    const doubles = new Float64Array(Math.min(part, into.length - done));
    await gatherValues(entry, doubles, first + done, fill);
    into.set(doubles, done);
  }
}

/** A bfloat16 is the upper half of a float32. */
function widenBfloat16(halves: Words, into: Float32Array): void {
  const bits = new Uint32Array(into.buffer, into.byteOffset, into.length);
  for (let i = 0; i < halves.length; i++) {
    bits[i] = (halves[i] as number) << 16;
  }
}
