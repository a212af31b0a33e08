// The tensors of an int8 folder: the matrices of a model that simd has opened in int8, as they lie in its memory, and all
// others as the model's source has them. Knows nothing of how a folder is written.

import type { ExpectedTensor } from '../model/config.js';
import type { LaidMatrix } from '../simd/export-weights.js';
import { checkScales, SCALE } from '../weights/int8-format.js';
import { readValues } from '../weights/tensor-values.js';
import type { WrittenTensor } from '../weights/write-safetensors.js';
import type { Model, ModelSource } from './model.js';

/**
 * @param model stays open while the tensors are used: they are views of its memory
 * @throws KvgenError for weights that are not numbers
 */
export async function int8Tensors(model: Model, source: ModelSource, signal: AbortSignal): Promise<WrittenTensor[]> {
  const { laidWeights } = await import('../simd/export-weights.js');
  const { matrices, hasOwnHead } = laidWeights(model.engine);
  const { architecture, config } = source.shape;
  const stored = { has: (name: string) => hasOwnHead || name !== architecture.vocabulary.head };
  const expected = [...architecture.tensors(config, stored)];
  const plain = await readPlain(source, expected, signal);
  return expected.flatMap(({ name, shape, isMatrix }) =>
    isMatrix
      ? written(name, matrices.get(name) as LaidMatrix, source.dir)
      : { name, dtype: 'F32' as const, shape, bytes: bytesOf(plain.get(name) as Float32Array) },
  );
}

/** The small ones: biases, norms, positions. */
async function readPlain(
  source: ModelSource,
  expected: readonly ExpectedTensor[],
  signal: AbortSignal,
): Promise<Map<string, Float32Array>> {
  const names = new Set(expected.filter(({ isMatrix }) => !isMatrix).map(({ name }) => name));
  const plain = new Map<string, Float32Array>();
  for await (const tensor of source.tensors({ signal })) {
    if (names.has(tensor.name)) {
      plain.set(tensor.name, await readValues(tensor));
    }
  }
  return plain;
}

function written(name: string, { shape, numbers, scales }: LaidMatrix, dir: string): WrittenTensor[] {
  checkScales(`${dir}: ${name} in int8`, scales);
  return [
    { name, dtype: 'I8', shape, bytes: numbers },
    { name: name + SCALE, dtype: 'F32', shape: [scales.length], bytes: bytesOf(scales) },
  ];
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
