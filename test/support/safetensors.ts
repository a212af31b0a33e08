// Writes safetensors files: sound ones, and broken ones by their raw parts. Reads sound ones.

import { readFileSync, writeFileSync } from 'node:fs';

export interface StoredTensor {
  dtype: string;
  shape: number[];
  bytes: Uint8Array;
}

export function float32(shape: number[], values: ArrayLike<number>): StoredTensor {
  return { dtype: 'F32', shape, bytes: new Uint8Array(Float32Array.from(values).buffer) };
}

/** Raw 16-bit patterns as F16 or BF16. */
export function halves(dtype: 'F16' | 'BF16', bits: number[]): StoredTensor {
  return { dtype, shape: [bits.length], bytes: new Uint8Array(Uint16Array.from(bits).buffer) };
}

/** The header's length, the header, the data; `headerLength` may lie. */
export function writeRaw(path: string, header: string, data: Uint8Array, headerLength?: bigint): void {
  const text = Buffer.from(header, 'utf8');
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(headerLength ?? BigInt(text.length));
  writeFileSync(path, Buffer.concat([length, text, data]));
}

export function writeSafetensors(path: string, tensors: ReadonlyMap<string, StoredTensor>): void {
  let offset = 0;
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  for (const [name, { dtype, shape, bytes }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
  }
  writeRaw(path, JSON.stringify(header), Buffer.concat([...tensors.values()].map(({ bytes }) => bytes)));
}

/** The tensors of a sound file, to be changed and written again. */
export function readSafetensors(path: string): Map<string, StoredTensor> {
  const file = readFileSync(path);
  const start = 8 + Number(file.readBigUInt64LE(0));
  const header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }> = JSON.parse(
    file.subarray(8, start).toString(),
  );
  const entries = Object.entries(header).filter(([name]) => name !== '__metadata__');
  return new Map(
    entries.map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => [name, { dtype, shape, bytes: new Uint8Array(file.subarray(start + from, start + to)) }],
    ),
  );
}
