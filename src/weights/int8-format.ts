// Matrices that are stored as int8, as docs/int8-format.md describes: what config.json says of them, what is checked, and
// how one is read. Knows nothing of the folder around them, or of what is computed with them.

import { KvgenError } from '../errors.js';
import type { ModelShape } from '../model/architectures.js';
import type { ConfigReader } from '../model/config.js';
import type { Int8Matrix, StoredTensor, TensorEntry } from './weight-file.js';

/** What `quantization_config` says of such a folder. */
export const INT8_CONFIG = { quant_method: 'kvgen-int8' } as const;
/** Behind the name of a matrix: its scales. */
export const SCALE = '_scale';

/** The one byte that no weight becomes: −128. Sums of products have room for −127 … 127. */
const UNUSED = 0x80;

/** What the matrices of a folder are stored as. @throws KvgenError for a quantization that is not computed */
export function storedAs(read: ConfigReader): ModelShape['stored'] {
  const key = 'quantization_config';
  const value: Record<string, unknown> = Object(read.value(key) ?? {});
  const keys = Object.keys(value);
  if (keys.length === 0) {
    return 'float32';
  }
  if (keys.length > 1 || value.quant_method !== INT8_CONFIG.quant_method) {
    const known = `nothing or ${JSON.stringify(INT8_CONFIG)}`;
    throw read.wrong(key, `${known} (no other is computed; use the plain weights)`, inShort(value));
  }
  return 'int8';
}

/** Of a quantization: its name and the few other words that say which it is, before what else there is. */
function inShort(value: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const first = ['quant_method', 'bits', 'load_in_4bit', 'load_in_8bit', 'format'].filter((key) => value[key]);
  const keys = [...new Set([...first, ...Object.keys(value)])].slice(0, 3);
  return Object.fromEntries(keys.map((key) => [key, value[key]]));
}

/** @throws KvgenError where the matrix or its scales are not stored as they must be */
export function int8Matrix({ file, entry }: StoredTensor, scale: StoredTensor | undefined): Int8Matrix {
  const where = `${file.path}: ${entry.name}`;
  const { shape } = entry;
  const [fours = 0] = shape;
  if (entry.dtype !== 'I8' || shape.length !== 4 || shape[2] !== 4 || shape[3] !== 8) {
    throw new KvgenError(`${where}: expected I8 [rows / 4, columns / 8, 4, 8], found ${form(entry)}`);
  }
  const expected = form({ dtype: 'F32', shape: [4 * fours] });
  if (scale === undefined) {
    throw new KvgenError(`${where}${SCALE}: not found; expected ${expected}`);
  }
  if (form(scale.entry) !== expected) {
    throw new KvgenError(`${scale.file.path}: ${scale.entry.name}: expected ${expected}, found ${form(scale.entry)}`);
  }
  return { where, shape, read: (numbers, scales) => readInt8({ file, entry }, scale, numbers, scales) };
}

async function readInt8(
  { file, entry }: StoredTensor,
  scale: StoredTensor,
  numbers: Uint8Array,
  scales: Float32Array,
): Promise<void> {
  await file.readBytes(entry, numbers);
  await scale.file.read(scale.entry, scales, 0);
  if (Buffer.from(numbers.buffer, numbers.byteOffset, numbers.length).includes(UNUSED)) {
    throw new KvgenError(`${file.path}: ${entry.name}: expected numbers of -127 … 127, found -128`);
  }
  checkScales(`${scale.file.path}: ${scale.entry.name}`, scales);
}

/** @throws KvgenError for a scale that makes no number of an integer */
export function checkScales(where: string, scales: Float32Array): void {
  const row = scales.findIndex((scale) => !(scale >= 0 && scale < Number.POSITIVE_INFINITY));
  if (row >= 0) {
    throw new KvgenError(`${where}: row ${row}: expected a scale of 0 or more, found ${scales[row]}`);
  }
}

function form({ dtype, shape }: Pick<TensorEntry, 'dtype' | 'shape'>): string {
  return `${dtype} [${shape.join(', ')}]`;
}
