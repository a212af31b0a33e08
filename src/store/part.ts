// One file of a saved prompt, as bytes: the ids, keys and values of up to 32 positions and, at the prompt's end, the last
// logits. The layout is safetensors in float32, with a CRC-32 of the file at a fixed place in its header. A file that is not
// whole, or has another format, is refused. Knows nothing of tensors or of where files lie.
// Reference: the format section of huggingface/safetensors' README.

import type { KvRows } from '../engine/kv-rows.js';
import { crc32, crcDigits } from './crc32.js';

/** Raise it whenever the files, or the numbers that the forward pass computes, change: older files are then not read. */
export const FORMAT = 'kvgen-prompt-1';

export interface PartMeta {
  readonly fingerprint: string;
  /** The model's name as the user wrote it. */
  readonly model: string;
  /** ISO 8601. */
  readonly created: string;
  /** How long prefill took for these ids, in milliseconds. */
  readonly prefillMs: number;
  /** The prompt's first words; empty except at its end. */
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

type Header = Readonly<Record<string, ArrayHeader | undefined>> & {
  readonly __metadata__: Readonly<Record<string, string>>;
};

type NamedArray = readonly [name: string, shape: readonly number[], values: Float32Array | Int32Array];

export function encodePart(part: Part): Uint8Array<ArrayBuffer> {
  const arrays = namedArrays(part);
  const header: Record<string, unknown> = { __metadata__: metadata(part.meta) };
  let end = 0;
  for (const [name, shape, values] of arrays) {
    const begin = end;
    end += values.byteLength;
    const dtype = values instanceof Int32Array ? 'I32' : 'F32';
    header[name] = { dtype, shape, data_offsets: [begin, end] } satisfies ArrayHeader;
  }
  const bytes = withHeader(header, end);
  let at = bytes.length - end;
  for (const [, , values] of arrays) {
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at);
    at += values.byteLength;
  }
  bytes.set(Buffer.from(checksum(bytes)), CRC_AT);
  return bytes;
}

/**
 * @param bytes they begin where their buffer begins; keys, values and logits are views of that buffer
 * @throws an error that says what is wrong with the bytes
 */
export function decodePart(bytes: Uint8Array<ArrayBuffer>): Part {
  const { header, dataStart } = readHeader(bytes);
  const array = (name: string): Float32Array | undefined => {
    const entry = header[name];
    return entry === undefined
      ? undefined
      : new Float32Array(bytes.buffer, dataStart + entry.data_offsets[0], elements(entry));
  };
  const { ids } = header;
  if (ids === undefined) {
    throw new Error('it has no ids');
  }
  const [nKvHead = 0, , headDim = 0] = header['h.0.k']?.shape ?? [];
  return {
    ids: [...new Int32Array(bytes.buffer, dataStart + ids.data_offsets[0], elements(ids))],
    rows: { length: elements(ids), nKvHead, headDim, layers: layers(array) },
    logits: array('logits') ?? null,
    meta: readMetadata(header.__metadata__),
  };
}

/** What a header says about its file. The data is not there, so the CRC-32 cannot be checked. */
export function decodeMeta(header: string): PartMeta | undefined {
  try {
    const { __metadata__: found } = JSON.parse(header) as Header;
    return found.format === FORMAT ? readMetadata(found) : undefined;
  } catch {
    return undefined;
  }
}

function namedArrays({ ids, rows, logits }: Part): NamedArray[] {
  const arrays: NamedArray[] = [['ids', [ids.length], Int32Array.from(ids)]];
  const shape = [rows.nKvHead, rows.length, rows.headDim];
  for (const [layer, { k, v }] of rows.layers.entries()) {
    arrays.push([`h.${layer}.k`, shape, k], [`h.${layer}.v`, shape, v]);
  }
  if (logits !== null) {
    arrays.push(['logits', [logits.length], logits]);
  }
  return arrays;
}

/** The whole file, its data still zeros. Spaces after the header let the data begin at a multiple of 8 bytes. */
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

/** Of the whole file except the place where the checksum itself stands. */
function checksum(bytes: Uint8Array): string {
  const before = crc32(bytes.subarray(0, CRC_AT));
  return crcDigits(bytes.subarray(CRC_AT + NO_CRC.length), before);
}

function elements({ data_offsets: [begin, end] }: ArrayHeader): number {
  return (end - begin) / 4;
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
