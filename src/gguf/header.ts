// Reads the header of a GGUF file: metadata by key, and where each tensor lies. Versions 2 and 3, little-endian. Everything
// in it is checked before anything is used: counts and lengths against what the file still has, types against those there
// are, the places of tensors against each other. Knows nothing of models.
// Why not @huggingface/gguf, to which this reader is compared in its tests: it takes U+FEFF from the beginning of tokens,
// ends a text without a word where its buffer ends, and reads a file that is cut off as if zeros followed.
// References: docs/gguf.md of ggml-org/ggml; src/gguf.cpp there.

import { isUtf8 } from 'node:buffer';
import { KvgenError } from '../errors.js';
import type { OpenFile } from '../files/open-file.js';
import { Cursor } from './cursor.js';
import { GgufMetadata, type GgufValue } from './metadata.js';
import { BLOCK_TYPES, type BlockType, NUMBERS, VALUE_TYPES, type ValueType } from './types.js';

export interface GgufTensor {
  readonly name: string;
  readonly type: BlockType;
  /** The last axis fastest; the file has them the other way round. */
  readonly shape: readonly number[];
  /** In bytes from the beginning of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

export interface GgufHeader {
  readonly path: string;
  readonly metadata: GgufMetadata;
  /** By their names, in the order of the file. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

const MAGIC = 'GGUF';
/** Ten times the headers that people have, which are long by their vocabularies. */
const MAX_HEADER_BYTES = 128e6;
const MAX_ENTRIES = 2 ** 17;
const MAX_TEXTS = 2 ** 22;
const MAX_NAME = 2 ** 16;
const MAX_AXES = 4;
const DEFAULT_ALIGNMENT = 32;

/** @throws KvgenError that says what the file is instead, or what of it is wrong */
export async function readHeader(file: OpenFile): Promise<GgufHeader> {
  const cursor = new Cursor(file, MAX_HEADER_BYTES);
  await checkVersion(cursor, file.path);
  await cursor.need(16, 'two counts');
  const [tensors, entries] = [cursor.u64(), cursor.u64()];
  checkCount(cursor, tensors, 'tensors', 24);
  checkCount(cursor, entries, 'entries of metadata', 13);
  const metadata = await readMetadata(cursor, file.path, entries);
  const descriptions = await readDescriptions(cursor, tensors);
  const alignment = alignmentOf(metadata);
  return { path: file.path, metadata, tensors: placed(cursor, descriptions, alignment, file.size) };
}

async function checkVersion(cursor: Cursor, path: string): Promise<void> {
  await cursor.need(8, 'the beginning of a GGUF file');
  const magic = cursor.bytes(4).toString('latin1');
  if (magic !== MAGIC) {
    throw cursor.broken(`expected a GGUF file, which begins with ${MAGIC}, found ${JSON.stringify(magic)}`);
  }
  const version = cursor.u32();
  if (version === 2 || version === 3) {
    return;
  }
  const isSwapped = version !== 0 && (version & 0xffff) === 0;
  const found = isSwapped ? 'a big-endian file' : `version ${version}`;
  const advice = 'convert the model again with a recent llama.cpp';
  throw new KvgenError(`${path}: expected GGUF of version 2 or 3, little-endian, found ${found}; ${advice}`);
}

/** @param least how many bytes one of them takes */
function checkCount(cursor: Cursor, count: number, what: string, least: number): void {
  const most = Math.min(MAX_ENTRIES, Math.floor(cursor.left / least));
  if (count > most) {
    throw cursor.broken(`expected at most ${most} ${what}, found ${count}`);
  }
}

async function readMetadata(cursor: Cursor, path: string, count: number): Promise<GgufMetadata> {
  const values = new Map<string, GgufValue>();
  const garbled = new Set<string>();
  for (let i = 0; i < count; i++) {
    const key = await readName(cursor, 'a key');
    if (values.has(key)) {
      throw cursor.broken(`${key}: it is there twice`);
    }
    await cursor.need(4, key);
    values.set(key, await readValue(cursor, key, typeOf(cursor, key), () => garbled.add(key)));
  }
  return new GgufMetadata(path, values, garbled);
}

function typeOf(cursor: Cursor, key: string): ValueType {
  const number = cursor.u32();
  const type = VALUE_TYPES[number];
  if (type === undefined) {
    throw cursor.broken(`${key}: expected a type of 0 … ${VALUE_TYPES.length - 1}, found ${number}`);
  }
  return type;
}

/** @param onGarbled called for a text that is not UTF-8 */
async function readValue(cursor: Cursor, key: string, type: ValueType, onGarbled: () => void): Promise<GgufValue> {
  if (type === 'STRING') {
    return readText(cursor, key, onGarbled);
  }
  if (type !== 'ARRAY') {
    const [value] = await readNumbers(cursor, key, type, 1);
    return type === 'BOOL' ? value === 1 : (value as number | bigint);
  }
  await cursor.need(12, key);
  const of = typeOf(cursor, key);
  const count = cursor.u64();
  if (of === 'ARRAY') {
    throw cursor.broken(`${key}: lists of lists are not supported`);
  }
  return of === 'STRING' ? readTexts(cursor, key, count, onGarbled) : readNumbers(cursor, key, of, count);
}

async function readTexts(cursor: Cursor, key: string, count: number, onGarbled: () => void): Promise<string[]> {
  const most = Math.min(MAX_TEXTS, Math.floor(cursor.left / 8));
  if (count > most) {
    throw cursor.broken(`${key}: expected at most ${most} texts, found ${count}`);
  }
  const texts: string[] = [];
  for (let i = 0; i < count; i++) {
    // Most texts lie in the window, and waiting for each of a hundred thousand would take long.
    const length = cursor.has(8) ? cursor.u64() : undefined;
    if (length !== undefined && cursor.has(length)) {
      texts.push(checkedText(cursor, length, onGarbled));
    } else {
      texts.push(await readText(cursor, key, onGarbled, length));
    }
  }
  return texts;
}

/** @param length if it has been read */
async function readText(cursor: Cursor, key: string, onGarbled: () => void, length?: number): Promise<string> {
  if (length === undefined) {
    await cursor.need(8, key);
  }
  const bytes = length ?? cursor.u64();
  await cursor.need(bytes, key);
  return checkedText(cursor, bytes, onGarbled);
}

function checkedText(cursor: Cursor, length: number, onGarbled: () => void): string {
  const bytes = cursor.bytes(length);
  const text = bytes.toString('utf8');
  if (text.includes('\ufffd') && !isUtf8(bytes)) {
    onGarbled();
  }
  return text;
}

async function readNumbers(cursor: Cursor, key: string, type: keyof typeof NUMBERS, count: number) {
  const { bytes, list } = NUMBERS[type];
  await cursor.need(count * bytes, key);
  const copy = new Uint8Array(cursor.bytes(count * bytes)); // aligned, and apart from the window
  const numbers = new list(copy.buffer);
  if (type === 'BOOL' && numbers.some((value) => Number(value) > 1)) {
    throw cursor.broken(`${key}: expected true or false, as 1 or 0`);
  }
  return numbers;
}

async function readName(cursor: Cursor, what: string): Promise<string> {
  await cursor.need(8, what);
  const length = cursor.u64();
  if (length > MAX_NAME) {
    throw cursor.broken(`${what}: expected at most ${MAX_NAME} bytes, found ${length}`);
  }
  await cursor.need(length, what);
  const bytes = cursor.bytes(length);
  if (!isUtf8(bytes)) {
    throw cursor.broken(`${what} at byte ${cursor.position - length}: not UTF-8`);
  }
  return bytes.toString('utf8');
}

/** What the file says of a tensor; its offset counts from the first of them. */
type Description = Pick<GgufTensor, 'name' | 'type' | 'shape' | 'offset'>;

async function readDescriptions(cursor: Cursor, count: number): Promise<Description[]> {
  const names = new Set<string>();
  const descriptions: Description[] = [];
  for (let i = 0; i < count; i++) {
    const name = await readName(cursor, 'the name of a tensor');
    if (names.has(name)) {
      throw cursor.broken(`${name}: it is there twice`);
    }
    names.add(name);
    const shape = await readShape(cursor, name);
    await cursor.need(12, name);
    const number = cursor.u32();
    const type = BLOCK_TYPES.get(number);
    if (type === undefined) {
      throw cursor.broken(`${name}: type ${number} is not known`);
    }
    descriptions.push({ name, type, shape, offset: cursor.u64() });
  }
  return descriptions;
}

async function readShape(cursor: Cursor, name: string): Promise<number[]> {
  await cursor.need(4, name);
  const axes = cursor.u32();
  if (axes > MAX_AXES) {
    throw cursor.broken(`${name}: expected at most ${MAX_AXES} axes, found ${axes}`);
  }
  await cursor.need(8 * axes, name);
  return Array.from({ length: axes }, () => cursor.u64()).reverse();
}

function alignmentOf(metadata: GgufMetadata): number {
  const alignment = metadata.count('general.alignment') ?? DEFAULT_ALIGNMENT;
  if (alignment < 1 || alignment > 2 ** 30 || (alignment & (alignment - 1)) !== 0) {
    throw metadata.wrong('general.alignment', 'a power of 2');
  }
  return alignment;
}

/** The tensors follow each other in their order, each at a multiple of the alignment, as llama.cpp wants them too. */
function placed(
  cursor: Cursor,
  descriptions: readonly Description[],
  alignment: number,
  size: number,
): Map<string, GgufTensor> {
  const aligned = (at: number) => Math.ceil(at / alignment) * alignment;
  const start = aligned(cursor.position);
  const tensors = new Map<string, GgufTensor>();
  let next = 0;
  for (const { name, type, shape, offset } of descriptions) {
    const [last = 1] = shape.slice(-1);
    const values = shape.reduce((product, n) => product * n, 1);
    if (last % type.values !== 0 || !Number.isSafeInteger(values)) {
      const expected = `rows of ${type.values > 1 ? `a multiple of ${type.values}` : 'fewer'} values for ${type.name}`;
      throw cursor.broken(`${name}: expected ${expected}, found [${shape.join(', ')}]`);
    }
    if (offset !== next) {
      throw cursor.broken(`${name}: expected it to begin at byte ${start + next}, found ${start + offset}`);
    }
    const byteLength = (values / type.values) * type.bytes;
    const end = start + offset + byteLength;
    if (end > size) {
      throw cursor.broken(`${name}: truncated: expected ${end} bytes, found ${size}`);
    }
    tensors.set(name, { name, type, shape, offset: start + offset, byteLength });
    next = aligned(offset + byteLength);
  }
  return tensors;
}
