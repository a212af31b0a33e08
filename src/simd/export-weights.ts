// The int8 matrices of an opened engine as they lie in linear memory, so that a folder of them is made by the very code that
// converts weights when a model loads. Knows nothing of files.

import type { Engine } from '../engine/engine.js';
import type { LinearMemory } from './linear-memory.js';
import { int8Shape, type Matrix } from './matrix.js';
import { PASSES } from './passes.js';
import { SimdEngine } from './simd-engine.js';
import type { SimdArchitecture } from './simd-model.js';

/** Views of the engine's memory, which no pass changes. */
export interface LaidMatrix {
  /** [rows / 4, columns / 8, 4, 8] */
  readonly shape: readonly number[];
  readonly numbers: Uint8Array;
  /** One for each row. */
  readonly scales: Float32Array;
}

export interface LaidWeights {
  /** By the names of the architecture; what gives the logits under its own name too. */
  readonly matrices: ReadonlyMap<string, LaidMatrix>;
  /** false: the embedding gives them. */
  readonly hasOwnHead: boolean;
}

/** @throws Error for an engine of another kind, or with other weights */
export function laidWeights(engine: Engine): LaidWeights {
  if (!(engine instanceof SimdEngine) || engine.laid.head.scales === 0) {
    throw new Error('expected the simd engine with int8 weights');
  }
  const { model, head, memory } = engine.laid;
  const { places, vocabulary } = PASSES[model.config.modelType] as SimdArchitecture;
  const matrices = new Map<string, LaidMatrix>();
  for (const [name, place] of places(model.plan, model.config)) {
    if (place.kind === 'matrix') {
      matrices.set(name, laid(memory, place.matrix));
    }
  }
  matrices.set(vocabulary.head, laid(memory, head));
  return { matrices, hasOwnHead: head !== model.plan.wte };
}

function laid(memory: LinearMemory, matrix: Matrix): LaidMatrix {
  const { at, scales, rows, columns } = matrix;
  return {
    shape: int8Shape(matrix),
    numbers: memory.bytes(at, rows * columns),
    scales: memory.floats(scales, rows),
  };
}
