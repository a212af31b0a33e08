// One file of a saved prompt: ids, keys and values of up to 32 positions, at a prompt's end the last logits too. The
// layout is safetensors, float32. A CRC-32 over all of the file lies at a fixed place of its header; a file that is not
// whole, or of another format, is not read. Knows nothing of tensors or of where files lie.
// Reference: the format section of huggingface/safetensors' README.

import type { KvRows } from '../engine/kv-rows.js';
import { crc32 } from './crc32.js';

/** To be raised whenever files, or the numbers that the forward pass gives, change: older files are then left unread. */
export const FORMAT = 'kvgen-prompt-1';

export interface PartMeta {
  readonly fingerprint: string;
  /** The model's name, as it was given. */
  readonly model: string;
  /** ISO 8601. */
  readonly created: string;
  /** What prefill took for these ids, in milliseconds. */
  readonly prefillMs: number;
  /** At a prompt's end: its first words. */
  readonly words: string;
}

export interface Part {
  readonly ids: readonly number[];
  readonly rows: KvRows;
  readonly logits: Float32Array | null;
  readonly meta: PartMeta;
}

const CRC_PREFIX = '{"__metadata__":{"crc32":"';
const CRC_AT = 8 + CRC_PREFIX.length;
const NO_CRC = '00000000';

interface ArrayHeader {
  readonly dtype: 'F32' | 'I32';
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

interface Header extends Record<string, unknown> {
  readonly __metadata__: Readonly<Record<string, string>>;
}

interface NamedArray {
  readonly name: string;
  readonly dtype: ArrayHeader['dtype'];
  readonly shape: readonly number[];
  readonly values: Float32Array | Int32Array;
}

export function encodePart(part: Part): Uint8Array<ArrayBuffer> {
  const arrays = namedArrays(part);
  let end = 0;
  const entries = arrays.map(({ name, dtype, shape, values }): [string, ArrayHeader] => {
    const begin = end;
    end += values.byteLength;
    return [name, { dtype, shape, data_offsets: [begin, end] }];
  });
  const bytes = withHeader({ __metadata__: metadata(part.meta), ...Object.fromEntries(entries) }, end);
  let at = bytes.length - end;
  for (const { values } of arrays) {
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at);
    at += values.byteLength;
  }
  bytes.set(Buffer.from(checksum(bytes)), CRC_AT);
  return bytes;
}

/**
 * @param bytes at the beginning of their buffer; rows and logits are views of it
 * @throws Error saying what is wrong with the bytes
 */
export function decodePart(bytes: Uint8Array<ArrayBuffer>): Part {
  const { header, dataStart } = readHeader(bytes);
  const array = (name: string): Float32Array | undefined => {
    const entry = header[name] as ArrayHeader | undefined;
    return entry === undefined
      ? undefined
      : new Float32Array(bytes.buffer, dataStart + entry.data_offsets[0], elements(entry));
  };
  const ids = header.ids as ArrayHeader | undefined;
  if (ids === undefined) {
    throw new Error('it has no ids');
  }
  return {
    ids: [...new Int32Array(bytes.buffer, dataStart + ids.data_offsets[0], elements(ids))],
    rows: { length: elements(ids), ...headSizes(header), layers: layers(array) },
    logits: array('logits') ?? null,
    meta: readMetadata(header.__metadata__),
  };
}

/** What a header says of its file, for a list: the data is not read, so its CRC-32 is not checked. */
export function decodeMeta(header: string): PartMeta | undefined {
  try {
    const { __metadata__: found } = JSON.parse(header) as Header;
    return found.format === FORMAT ? readMetadata(found) : undefined;
  } catch {
    return undefined;
  }
}

function namedArrays({ ids, rows, logits }: Part): NamedArray[] {
  const shape = [rows.nKvHead, rows.length, rows.headDim];
  const keysAndValues = rows.layers.flatMap(({ k, v }, layer): NamedArray[] => [
    { name: `h.${layer}.k`, dtype: 'F32', shape, values: k },
    { name: `h.${layer}.v`, dtype: 'F32', shape, values: v },
  ]);
  const last: NamedArray[] =
    logits === null ? [] : [{ name: 'logits', dtype: 'F32', shape: [logits.length], values: logits }];
  return [{ name: 'ids', dtype: 'I32', shape: [ids.length], values: Int32Array.from(ids) }, ...keysAndValues, ...last];
}

/** The whole file with its data still empty; spaces behind the header put the data at a multiple of 8. */
function withHeader(header: object, dataBytes: number): Uint8Array<ArrayBuffer> {
  const text = Buffer.from(JSON.stringify(header));
  const length = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(text, 8);
  bytes.fill(0x20, 8 + text.length, 8 + length);
  return bytes;
}

function metadata({ fingerprint, model, created, prefillMs, words }: PartMeta): Record<string, string> {
  return { crc32: NO_CRC, format: FORMAT, fingerprint, model, created, prefill_ms: prefillMs.toFixed(3), words };
}

function readMetadata(metadata: Readonly<Record<string, string>>): PartMeta {
  const { fingerprint = '', model = '', created = '', prefill_ms: prefillMs, words = '' } = metadata;
  return { fingerprint, model, created, prefillMs: Number(prefillMs), words };
}

function readHeader(bytes: Uint8Array<ArrayBuffer>): { header: Header; dataStart: number } {
  const length = bytes.length < 8 ? 0n : new DataView(bytes.buffer).getBigUint64(0, true);
  const dataStart = 8 + Number(length);
  if (dataStart > bytes.length || dataStart < CRC_AT + NO_CRC.length) {
    throw new Error(`it is truncated, or no safetensors file (${bytes.length} bytes)`);
  }
  const found = Buffer.from(bytes.subarray(CRC_AT, CRC_AT + NO_CRC.length)).toString('latin1');
  if (found !== checksum(bytes)) {
    throw new Error(`its CRC-32 should be ${checksum(bytes)}, found ${JSON.stringify(found)}`);
  }
  const header: Header = JSON.parse(Buffer.from(bytes.subarray(8, dataStart)).toString());
  if (header.__metadata__.format !== FORMAT) {
    throw new Error(`expected format ${FORMAT}, found ${header.__metadata__.format}`);
  }
  return { header, dataStart };
}

/** Over all of the file but the place where it is written. */
function checksum(bytes: Uint8Array): string {
  const before = crc32(bytes.subarray(0, CRC_AT));
  return crc32(bytes.subarray(CRC_AT + NO_CRC.length), before)
    .toString(16)
    .padStart(8, '0');
}

function elements({ data_offsets: [begin, end] }: ArrayHeader): number {
  return (end - begin) / 4;
}

/** How keys and values of all layers are cut into heads. */
function headSizes(header: Header): Pick<KvRows, 'nKvHead' | 'headDim'> {
  const [nKvHead = 0, , headDim = 0] = (header['h.0.k'] as ArrayHeader | undefined)?.shape ?? [];
  return { nKvHead, headDim };
}

function layers(array: (name: string) => Float32Array | undefined): KvRows['layers'] {
  const found: { k: Float32Array; v: Float32Array }[] = [];
  for (;;) {
    const k = array(`h.${found.length}.k`);
    const v = array(`h.${found.length}.v`);
    if (k === undefined || v === undefined) {
      return found;
    }
    found.push({ k, v });
  }
}
