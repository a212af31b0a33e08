// One file of a saved prompt, as bytes: the ids, keys and values of up to 32 positions and, at the prompt's end, the last
// logits. The layout is safetensors, keys and values in float32 or float16, with a CRC-32 of the file at a fixed place in
// its header. The header says where the part belongs, so a file under another's name is refused, as is one that is not whole, has another format or
// another model's sizes. Knows nothing of tensors or of where files lie.
// Reference: the format section of huggingface/safetensors' README.

import { type KvRows, type PackedRows, packFloat16, type RowsDtype } from '../engine/kv-rows.js';
import { crc32, crcDigits } from '../files/crc32.js';
import { idCount, type PartName, type PartPlace, partHash, partKind } from './names.js';

/** Raise it whenever the files, or the numbers that the forward pass computes, change: older files are then not read. */
export const FORMAT = 'kvgen-prompt-2';

/** The sizes of a model, of which those of its parts follow. */
export interface PartShape {
  readonly nLayer: number;
  readonly nKvHead: number;
  readonly headDim: number;
  readonly vocabSize: number;
}

export interface PartMeta {
  readonly fingerprint: string;
  /** Of the keys and values of the prompt. A part of float16 with a number too large for it is in float32 itself. */
  readonly dtype: RowsDtype;
  /** The model's name as the user wrote it. */
  readonly model: string;
  /** ISO 8601. */
  readonly created: string;
  /** How long prefill took for these ids, in milliseconds. */
  readonly prefillMs: number;
  /** The prompt's first words; empty except at its end, or that of a text. */
  readonly words: string;
}

/** As it is stored, or before it is packed. */
export interface Part {
  readonly place: PartPlace;
  readonly ids: readonly number[];
  readonly rows: PackedRows;
  /** Of a prompt's end; null: it is a block, or the end of a text. */
  readonly logits: Float32Array | null;
  readonly meta: PartMeta;
}

/** What a file is expected to be. */
export interface ExpectedPart {
  readonly name: PartName;
  readonly fingerprint: string;
  readonly dtype: RowsDtype;
  readonly shape: PartShape;
}

const CRC_PREFIX = '{"__metadata__":{"crc32":"';
const CRC_AT = 8 + CRC_PREFIX.length;
const NO_CRC = '00000000';

/** Room in a header for names and words, and for each array. */
const META_BYTES = 1 << 16;
const ARRAY_BYTES = 1 << 8;

/** A dtype of safetensors, and the bytes of one number. */
const DTYPES = { F32: 4, F16: 2, I32: 4 } as const;

interface ArrayHeader {
  readonly dtype: keyof typeof DTYPES;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** What the keys and values of one file are. */
type RowsAre = 'F32' | 'F16';

type ArrayType<T> = new (buffer: ArrayBuffer, at: number, length: number) => T;

/** The arrays of a file in their order; they follow each other without a gap. */
type Layout = readonly (readonly [name: string, header: ArrayHeader])[];

/** Packs keys and values as its dtype says. @throws an error for a part that the reader would refuse */
export function encodePart(unpacked: Part, shape: PartShape): Uint8Array<ArrayBuffer> {
  const part = packed(unpacked);
  const layout = layoutOf(part.ids.length, part.logits !== null, shape, storedAs(part.rows));
  const header = headerBytes(NO_CRC, part.place, metadata(part.meta), layout);
  const bytes = new Uint8Array(header.length + dataBytes(layout));
  bytes.set(header);
  for (const [i, values] of arraysOf(part).entries()) {
    const [name, { data_offsets: offsets }] = layout[i] as Layout[number];
    if (values.byteLength !== offsets[1] - offsets[0]) {
      throw new Error(`${name}: expected ${offsets[1] - offsets[0]} bytes, found ${values.byteLength}`);
    }
    if (values instanceof Float32Array && !allFinite(values)) {
      throw new Error(`${name} has values that are no finite numbers`);
    }
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), header.length + offsets[0]);
  }
  bytes.set(Buffer.from(checksum(bytes)), CRC_AT);
  return bytes;
}

/** The most bytes that a file can have which is what is expected. */
export function maxPartBytes({ name, shape }: ExpectedPart): number {
  const layout = layoutOf(idCount(name), name.kind === 'end', shape, 'F32');
  return META_BYTES + ARRAY_BYTES * layout.length + dataBytes(layout);
}

/**
 * @param bytes they begin where their buffer begins; keys, values and logits are views of that buffer
 * @throws an error that says what is wrong with the bytes
 */
export function decodePart(bytes: Uint8Array<ArrayBuffer>, expected: ExpectedPart): Part {
  const { name, shape } = expected;
  const length = headerLength(bytes);
  const found = readHeader(Buffer.from(bytes.subarray(8, length)).toString());
  const layout = layoutOf(idCount(name), name.kind === 'end', shape, found.rowsAre);
  const header = headerBytes(found.crc32, found.place, found.texts, layout);
  checkPlace(found, expected);
  // All of the header follows from what is expected, so nothing in it is taken on trust: it is compared as a whole.
  if (header.length !== length || Buffer.compare(header, bytes.subarray(0, length)) !== 0) {
    throw new Error('its header is not that of this part of this model');
  }
  if (bytes.length !== length + dataBytes(layout)) {
    throw new Error(`expected ${length + dataBytes(layout)} bytes, found ${bytes.length}`);
  }
  if (found.crc32 !== checksum(bytes)) {
    throw new Error(`its CRC-32 should be ${checksum(bytes)}, found ${quoted(found.crc32)}`);
  }
  return viewsOf(bytes, length, layout, expected, found);
}

/**
 * What a header says about its file, for a list of files. The data is not there, so the CRC-32 cannot be checked.
 * @returns undefined where it is of another format, or does not belong under that name
 */
export function decodeMeta(header: string, name: PartName): PartMeta | undefined {
  try {
    const { place, meta } = readHeader(header);
    return samePlace(place, name) ? meta : undefined;
  } catch {
    return undefined;
  }
}

function viewsOf(
  bytes: Uint8Array<ArrayBuffer>,
  dataStart: number,
  layout: Layout,
  { name, shape }: ExpectedPart,
  { place, meta, rowsAre }: Found,
): Part {
  const view = <T>(type: ArrayType<T>, i: number): T => {
    const { data_offsets: offsets, dtype } = (layout[i] as Layout[number])[1];
    return new type(bytes.buffer, dataStart + offsets[0], (offsets[1] - offsets[0]) / DTYPES[dtype]);
  };
  const side = (i: number) => (rowsAre === 'F16' ? view(Uint16Array, i) : view(Float32Array, i));
  const ids = [...view(Int32Array, 0)];
  if (partHash(name.kind, name.parent, ids) !== name.hash) {
    throw new Error('it is not what its name says: other ids');
  }
  const logits = name.kind === 'end' ? view(Float32Array, 1) : null;
  const first = logits === null ? 1 : 2;
  const layers = Array.from({ length: shape.nLayer }, (_, layer) => ({
    k: side(first + 2 * layer),
    v: side(first + 2 * layer + 1),
  }));
  const { nKvHead, headDim } = shape;
  return { place, ids, rows: { length: ids.length, nKvHead, headDim, layers }, logits, meta };
}

/** @throws an error that says in what the file is another than the expected one */
function checkPlace({ place, meta, rowsAre }: Found, { name, fingerprint, dtype }: ExpectedPart): void {
  if (meta.fingerprint !== fingerprint) {
    throw new Error('it is not what its name says: of another model');
  }
  if (meta.dtype !== dtype || (dtype === 'float32' && rowsAre !== 'F32')) {
    throw new Error(`it is not what its name says: keys and values are not ${dtype}`);
  }
  if (!samePlace(place, name)) {
    throw new Error(`it is not what its name says: ${place.kind} ${place.index} of other ids`);
  }
}

function samePlace(a: PartPlace, b: PartPlace): boolean {
  return a.kind === b.kind && a.index === b.index && a.parent === b.parent && a.hash === b.hash;
}

function layoutOf(
  length: number,
  isEnd: boolean,
  { nLayer, nKvHead, headDim, vocabSize }: PartShape,
  rowsAre: RowsAre,
): Layout {
  const sides = Array.from({ length: nLayer }, (_, layer) => [`h.${layer}.k`, `h.${layer}.v`]).flat();
  const arrays: [name: string, dtype: ArrayHeader['dtype'], shape: number[]][] = [
    ['ids', 'I32', [length]],
    ...(isEnd ? [['logits', 'F32', [vocabSize]] satisfies [string, 'F32', number[]]] : []),
    ...sides.map((name): [string, RowsAre, number[]] => [name, rowsAre, [nKvHead, length, headDim]]),
  ];
  let end = 0;
  return arrays.map(([name, dtype, shape]) => {
    const begin = end;
    end += DTYPES[dtype] * shape.reduce((product, n) => product * n, 1);
    return [name, { dtype, shape, data_offsets: [begin, end] }];
  });
}

/** In the order of the layout. */
function arraysOf({ ids, rows, logits }: Part): (Int32Array | Float32Array | Uint16Array)[] {
  const sides = rows.layers.flatMap(({ k, v }) => [k, v]);
  return [Int32Array.from(ids), ...(logits === null ? [] : [logits]), ...sides];
}

function dataBytes(layout: Layout): number {
  return layout.at(-1)?.[1].data_offsets[1] ?? 0;
}

/** Length and text of a header. Spaces behind the text let the data begin at a multiple of 8 bytes. */
function headerBytes(
  crc: string,
  { kind, index, parent, hash }: PartPlace,
  texts: Readonly<Record<string, string>>,
  layout: Layout,
): Uint8Array {
  const place = { crc32: crc, format: FORMAT, kind, index: String(index), parent, hash };
  const text = Buffer.from(JSON.stringify({ __metadata__: { ...place, ...texts }, ...Object.fromEntries(layout) }));
  const length = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + length).fill(0x20, 8 + text.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(text, 8);
  return bytes;
}

function packed(part: Part): Part {
  const { rows, meta } = part;
  return meta.dtype === 'float16' ? { ...part, rows: packFloat16(rows as KvRows) } : part;
}

function storedAs({ layers }: PackedRows): RowsAre {
  return layers[0]?.k instanceof Uint16Array ? 'F16' : 'F32';
}

function metadata({ fingerprint, dtype, model, created, prefillMs, words }: PartMeta): Record<string, string> {
  return { fingerprint, dtype, model, created, prefill_ms: prefillMs.toFixed(3), words };
}

/** What a header says. */
interface Found {
  readonly crc32: string;
  readonly place: PartPlace;
  readonly meta: PartMeta;
  /** `meta` as it is written. */
  readonly texts: Readonly<Record<string, string>>;
  readonly rowsAre: RowsAre;
}

/** @param json maybe with spaces behind it */
function readHeader(json: string): Found {
  const header = Object(parseJson(json));
  const found = header.__metadata__;
  const text = (key: string): string => {
    const value: unknown = Object(found)[key];
    if (typeof value !== 'string') {
      throw new Error(`its header has no ${key}`);
    }
    return value;
  };
  const format = text('format');
  if (format !== FORMAT) {
    throw new Error(`expected format ${FORMAT}, found ${quoted(format)}`);
  }
  const kind = partKind(text('kind'));
  if (kind === undefined) {
    throw new Error(`its header has no such kind as ${quoted(text('kind'))}`);
  }
  const place = { kind, index: Number(text('index')), parent: text('parent'), hash: text('hash') };
  const [fingerprint, model, created, words] = [text('fingerprint'), text('model'), text('created'), text('words')];
  const dtype = text('dtype') === 'float16' ? 'float16' : 'float32';
  const meta = { fingerprint, dtype, model, created, prefillMs: milliseconds(text('prefill_ms')), words } as const;
  const rowsAre = Object(header['h.0.k']).dtype === 'F16' ? 'F16' : 'F32';
  return { crc32: text('crc32'), place, meta, texts: metadata(meta), rowsAre };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('its header is not JSON');
  }
}

/** A text of a file as a message shows it. */
function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 40));
}

function milliseconds(text: string): number {
  if (!/^\d+\.\d{3}$/.test(text)) {
    throw new Error(`expected milliseconds, found ${quoted(text)}`);
  }
  return Number(text);
}

/** Of the length and the text. @throws an error where the file ends before its header does */
function headerLength(bytes: Uint8Array<ArrayBuffer>): number {
  const length = bytes.length < 8 ? 0n : new DataView(bytes.buffer).getBigUint64(0, true);
  if (length === 0n || length > bytes.length - 8) {
    throw new Error(`it is truncated, or no safetensors file (${bytes.length} bytes)`);
  }
  return 8 + Number(length);
}

/** Of the whole file except the place where the checksum itself stands. */
function checksum(bytes: Uint8Array): string {
  const before = crc32(bytes.subarray(0, CRC_AT));
  return crcDigits(bytes.subarray(CRC_AT + NO_CRC.length), before);
}

function allFinite(values: Float32Array): boolean {
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) {
      return false;
    }
  }
  return true;
}
