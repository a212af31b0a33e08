// The types of numbers that a GGUF file may name: of tensors, in blocks of some values each, and of metadata. Knows nothing of
// how a block becomes values.
// References: docs/gguf.md of ggml-org/ggml; `type_traits` of its src/ggml.c.

export interface BlockType {
  readonly name: string;
  /** Values of a block. */
  readonly values: number;
  /** Bytes of a block. */
  readonly bytes: number;
}

const type = (name: string, values: number, bytes: number): BlockType => ({ name, values, bytes });

/** By their number in a file. Numbers that are missing have been given up. */
export const BLOCK_TYPES: ReadonlyMap<number, BlockType> = new Map([
  [0, type('F32', 1, 4)],
  [1, type('F16', 1, 2)],
  [2, type('Q4_0', 32, 18)],
  [3, type('Q4_1', 32, 20)],
  [6, type('Q5_0', 32, 22)],
  [7, type('Q5_1', 32, 24)],
  [8, type('Q8_0', 32, 34)],
  [9, type('Q8_1', 32, 36)],
  [10, type('Q2_K', 256, 84)],
  [11, type('Q3_K', 256, 110)],
  [12, type('Q4_K', 256, 144)],
  [13, type('Q5_K', 256, 176)],
  [14, type('Q6_K', 256, 210)],
  [15, type('Q8_K', 256, 292)],
  [16, type('IQ2_XXS', 256, 66)],
  [17, type('IQ2_XS', 256, 74)],
  [18, type('IQ3_XXS', 256, 98)],
  [19, type('IQ1_S', 256, 50)],
  [20, type('IQ4_NL', 32, 18)],
  [21, type('IQ3_S', 256, 110)],
  [22, type('IQ2_S', 256, 82)],
  [23, type('IQ4_XS', 256, 136)],
  [24, type('I8', 1, 1)],
  [25, type('I16', 1, 2)],
  [26, type('I32', 1, 4)],
  [27, type('I64', 1, 8)],
  [28, type('F64', 1, 8)],
  [29, type('IQ1_M', 256, 56)],
  [30, type('BF16', 1, 2)],
  [34, type('TQ1_0', 256, 54)],
  [35, type('TQ2_0', 256, 66)],
  [39, type('MXFP4', 32, 17)],
  [40, type('NVFP4', 64, 36)],
]);

/** Of metadata, by their number in a file. */
export const VALUE_TYPES = [
  'UINT8',
  'INT8',
  'UINT16',
  'INT16',
  'UINT32',
  'INT32',
  'FLOAT32',
  'BOOL',
  'STRING',
  'ARRAY',
  'UINT64',
  'INT64',
  'FLOAT64',
] as const;
export type ValueType = (typeof VALUE_TYPES)[number];

/** How a number is read, and its bytes. A BOOL is a byte here. */
export const NUMBERS = {
  UINT8: { bytes: 1, list: Uint8Array },
  INT8: { bytes: 1, list: Int8Array },
  UINT16: { bytes: 2, list: Uint16Array },
  INT16: { bytes: 2, list: Int16Array },
  UINT32: { bytes: 4, list: Uint32Array },
  INT32: { bytes: 4, list: Int32Array },
  FLOAT32: { bytes: 4, list: Float32Array },
  BOOL: { bytes: 1, list: Uint8Array },
  UINT64: { bytes: 8, list: BigUint64Array },
  INT64: { bytes: 8, list: BigInt64Array },
  FLOAT64: { bytes: 8, list: Float64Array },
} as const satisfies Record<Exclude<ValueType, 'STRING' | 'ARRAY'>, unknown>;
