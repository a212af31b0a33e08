// Places of stored tensors that all architectures have: vectors, linear layers, matrices whose rows are tokens.

import type { ModelConfig } from '../model/config.js';
import type { Pointer } from './kernels.js';
import type { Linear, Matrix } from './matrix.js';
import type { Place, Spread } from './simd-model.js';

export function vectorPlace(at: Pointer, spread: Spread): Place {
  return { kind: 'vector', at, spread };
}

/** A layer as PyTorch stores it: its weight as [out, in], so that a line of it is a row. */
export function linearPlaces(name: string, matrix: Linear, input: Spread, output: Spread): [string, Place][] {
  const weight: Place = { kind: 'matrix', matrix, lines: 'rows', spreadLines: output, spreadLine: input };
  const bias: [string, Place][] = matrix.bias === 0 ? [] : [[`${name}.bias`, vectorPlace(matrix.bias, output)]];
  return [[`${name}.weight`, weight], ...bias];
}

/** Weight and bias of a layer norm; each at an address of its own. */
export interface Norm {
  readonly weight: Pointer; // [C]
  readonly bias: Pointer; // [C]
}

export function normPlaces(name: string, { weight, bias }: Norm, spread: Spread): [string, Place][] {
  return [
    [`${name}.weight`, vectorPlace(weight, spread)],
    [`${name}.bias`, vectorPlace(bias, spread)],
  ];
}

/** A matrix [V, C] stored row by row: the embedding, or one for the logits alone. */
export function vocabularyPlace(matrix: Matrix, { vocabSize, nEmbd }: ModelConfig): Place {
  const spreadLines = { group: vocabSize, padded: matrix.rows };
  return { kind: 'matrix', matrix, lines: 'rows', spreadLines, spreadLine: { group: nEmbd, padded: matrix.columns } };
}
