// Reads the safetensors format: 8 bytes with the length of the header, a JSON header, then the bytes of the tensors.
// The whole header is checked before a tensor is read. Floats of all widths become a Float32Array; int8 stays
// as it is.
// Knows nothing of models or TF.js. Reference: the section on the format in the README of huggingface/safetensors.

import { KvgenError, shown } from '../errors.js';
import { type OpenFile, readExactly } from '../files/open-file.js';
import { BYTES_PER_FLOAT, readFloats } from './float-values.js';
import { valueCount } from './tensor-values.js';
import type { TensorEntry, WeightFile } from './weight-file.js';

const BYTES_PER_VALUE: Record<string, number> = { ...BYTES_PER_FLOAT, I8: 1 };
/** A hundred thousand tensors. The reference implementation takes ten times as much, which takes seconds to read. */
const MAX_HEADER_BYTES = 10_000_000;

export class SafetensorsFile implements WeightFile {
  readonly path: string;
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly #file: OpenFile;

  private constructor(file: OpenFile, entries: ReadonlyMap<string, TensorEntry>) {
    this.path = file.path;
    this.#file = file;
    this.entries = entries;
  }

  /**
   * @param file taken over: closed with this one, or when it is refused
   * @throws KvgenError when the file cannot be read, or its header does not describe it
   */
  static async open(file: OpenFile): Promise<SafetensorsFile> {
    try {
      return new SafetensorsFile(file, await readHeader(file));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async read(entry: TensorEntry, into: Float32Array, first: number): Promise<void> {
    const where = `${this.path}: ${entry.name}`;
    await readFloats(where, entry, into, first, (bytes, from) => readExactly(this.#file, bytes, from, where));
  }

  async readBytes(entry: TensorEntry, into: Uint8Array): Promise<void> {
    await readExactly(this.#file, into, entry.offset, `${this.path}: ${entry.name}`);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

async function readHeader(file: OpenFile): Promise<Map<string, TensorEntry>> {
  const { path, size } = file;
  const prefix = new Uint8Array(8);
  await readExactly(file, prefix, 0, `${path}: header length`);
  const length = Number(new DataView(prefix.buffer).getBigUint64(0, true));
  if (8 + length > size) {
    throw new KvgenError(
      `${path}: header of ${length} bytes does not fit the file of ${size} bytes; download it again`,
    );
  }
  if (length > MAX_HEADER_BYTES) {
    throw new KvgenError(`${path}: header: expected at most ${MAX_HEADER_BYTES} bytes, found ${length}`);
  }
  const header = new Uint8Array(length);
  await readExactly(file, header, 8, `${path}: header`);
  const entries = parseHeader(path, header, 8 + length);
  checkLayout(path, entries, 8 + length, size);
  return new Map(entries.map((entry) => [entry.name, entry]));
}

function parseHeader(path: string, bytes: Uint8Array, dataStart: number): TensorEntry[] {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new KvgenError(`${path}: the header is not JSON; download the file again`);
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    throw new KvgenError(`${path}: the header is not a JSON object; download the file again`);
  }
  return Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(([name, value]) => parseEntry(path, name, value, dataStart));
}

function parseEntry(path: string, name: string, value: unknown, dataStart: number): TensorEntry {
  const { dtype, shape, data_offsets: offsets } = Object(value) as Record<string, unknown>;
  const [begin, end] = Array.isArray(offsets) && offsets.length === 2 ? (offsets as unknown[]) : [];
  if (typeof dtype !== 'string' || !isCounts(shape) || !isCount(begin) || !isCount(end) || end < begin) {
    throw new KvgenError(`${path}: ${name}: expected dtype, shape and two rising data_offsets, found ${shown(value)}`);
  }
  const size = BYTES_PER_VALUE[dtype];
  const expected = size === undefined ? end - begin : size * valueCount(shape);
  if (end - begin !== expected) {
    const found = `${end - begin} bytes`;
    throw new KvgenError(
      `${path}: ${name}: expected ${expected} bytes for ${dtype} [${shape.join(', ')}], found ${found}`,
    );
  }
  return { name, dtype, shape, offset: dataStart + begin, byteLength: end - begin };
}

/** The bytes of the tensors must follow each other without gap or overlap, up to the end of the file. */
function checkLayout(path: string, entries: readonly TensorEntry[], dataStart: number, fileSize: number): void {
  let end = dataStart;
  for (const entry of entries.toSorted((a, b) => a.offset - b.offset || a.byteLength - b.byteLength)) {
    if (entry.offset !== end) {
      const where = `expected it to begin at byte ${end}, found ${entry.offset}`;
      throw new KvgenError(`${path}: ${entry.name}: overlapping or missing bytes (${where})`);
    }
    end = entry.offset + entry.byteLength;
  }
  if (end !== fileSize) {
    const what = end > fileSize ? 'truncated' : 'followed by bytes of no tensor';
    throw new KvgenError(`${path}: ${what}: expected ${end} bytes, found ${fileSize}; download the file again`);
  }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(isCount);
}
