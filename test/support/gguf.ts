// Writes GGUF files, sound ones and others: numbers, texts and lists by the type that a file gives them.

import { VALUE_TYPES, type ValueType } from '../../src/gguf/types.js';

/** A value of metadata, with its type; a list has that of its members. */
export type Entry =
  | { readonly type: Exclude<ValueType, 'ARRAY'>; readonly value: number | bigint | string | boolean }
  | { readonly list: Exclude<ValueType, 'ARRAY'>; readonly value: readonly (number | bigint | string)[] };

export interface TensorParts {
  readonly name: string;
  /** As the file has it: the fastest axis first. */
  readonly dims: readonly number[];
  /** Its number in the file. */
  readonly type: number;
  readonly bytes: Uint8Array;
  /** From the first tensor on, if not behind the one before. */
  readonly offset?: number;
}

export interface GgufParts {
  readonly magic?: string;
  readonly version?: number;
  readonly metadata?: readonly (readonly [key: string, entry: Entry])[];
  readonly tensors?: readonly TensorParts[];
  readonly alignment?: number;
  /** What the header claims, if not what there is. */
  readonly claims?: { readonly tensors?: number; readonly entries?: number };
}

export const text = (value: string): Entry => ({ type: 'STRING', value });
export const u32 = (value: number): Entry => ({ type: 'UINT32', value });
export const texts = (value: readonly string[]): Entry => ({ list: 'STRING', value });

export function ggufBytes(parts: GgufParts): Buffer {
  const { metadata = [], tensors = [], alignment = 32, claims = {} } = parts;
  const header: Buffer[] = [
    Buffer.from(parts.magic ?? 'GGUF', 'latin1'),
    number('UINT32', parts.version ?? 3),
    number('UINT64', claims.tensors ?? tensors.length),
    number('UINT64', claims.entries ?? metadata.length),
    ...metadata.flatMap(([key, entry]) => [string(key), value(entry)]),
  ];
  const data: Buffer[] = [];
  let end = 0;
  for (const tensor of tensors) {
    const { name, dims, type, bytes, offset = end } = tensor;
    header.push(string(name), number('UINT32', dims.length), ...dims.map((dim) => number('UINT64', dim)));
    header.push(number('UINT32', type), number('UINT64', offset));
    data.push(padded(Buffer.from(bytes), alignment));
    end += (data.at(-1) as Buffer).length;
  }
  return Buffer.concat([padded(Buffer.concat(header), alignment), ...data]);
}

function padded(bytes: Buffer, alignment: number): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((alignment - (bytes.length % alignment)) % alignment)]);
}

function value(entry: Entry): Buffer {
  if ('type' in entry) {
    return Buffer.concat([number('UINT32', VALUE_TYPES.indexOf(entry.type)), one(entry.type, entry.value)]);
  }
  const members = entry.value.map((member) => one(entry.list, member));
  const type = number('UINT32', VALUE_TYPES.indexOf(entry.list));
  return Buffer.concat([
    number('UINT32', VALUE_TYPES.indexOf('ARRAY')),
    type,
    number('UINT64', members.length),
    ...members,
  ]);
}

function one(type: Exclude<ValueType, 'ARRAY'>, value: number | bigint | string | boolean): Buffer {
  return type === 'STRING' ? string(String(value)) : number(type, Number(value));
}

function string(text: string): Buffer {
  return Buffer.concat([number('UINT64', Buffer.byteLength(text)), Buffer.from(text)]);
}

function number(type: Exclude<ValueType, 'ARRAY' | 'STRING'>, value: number): Buffer {
  const view = new DataView(new ArrayBuffer(8));
  switch (type) {
    case 'UINT8':
    case 'BOOL':
      view.setUint8(0, value);
      return Buffer.from(view.buffer, 0, 1);
    case 'INT8':
      view.setInt8(0, value);
      return Buffer.from(view.buffer, 0, 1);
    case 'UINT16':
    case 'INT16':
      view.setUint16(0, value, true);
      return Buffer.from(view.buffer, 0, 2);
    case 'UINT32':
    case 'INT32':
      view.setUint32(0, value, true);
      return Buffer.from(view.buffer, 0, 4);
    case 'FLOAT32':
      view.setFloat32(0, value, true);
      return Buffer.from(view.buffer, 0, 4);
    case 'UINT64':
    case 'INT64':
      view.setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true);
      return Buffer.from(view.buffer);
    case 'FLOAT64':
      view.setFloat64(0, value, true);
      return Buffer.from(view.buffer);
  }
}
