// How many values a tensor has, and arrays for them. Knows nothing of files or engines.

import type { NamedTensor } from './weight-file.js';

export function valueCount(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

/** All of them. @throws KvgenError for what is not stored as floats */
export async function readValues(tensor: NamedTensor): Promise<Float32Array<ArrayBuffer>> {
  const values = alignedFloat32(valueCount(tensor.shape));
  await tensor.read(values, 0);
  return values;
}

/**
 * An array that TensorFlow can use without a copy, because it is aligned to 64 bytes: a large allocation by the C
 * library begins 16 bytes into a page, so the array begins 48 bytes later. Elsewhere this only costs the copy.
 */
export function alignedFloat32(length: number): Float32Array<ArrayBuffer> {
  return new Float32Array(new ArrayBuffer(4 * length + 64), 48, length);
}
