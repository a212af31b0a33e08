// Writes files of torch.save piece by piece, sound ones and broken ones: pickles, zip archives, the format before 1.6.

import { crc32 } from '../../src/files/crc32.js';

type Bytes = Uint8Array;

const ascii = (text: string) => Buffer.from(text, 'latin1');
const uint16 = (n: number) => Buffer.from(Uint16Array.of(n).buffer);
const uint32 = (n: number) => Buffer.from(Uint32Array.of(n).buffer);
export const int64 = (n: number | bigint) => Buffer.from(BigInt64Array.of(BigInt(n)).buffer);

/** Opcodes of a pickle, put together. */
export const op = {
  text: (value: string) => Buffer.concat([ascii('X'), uint32(Buffer.byteLength(value)), Buffer.from(value)]),
  integer: (n: number) => Buffer.concat([ascii('\x8a\x08'), int64(n)]),
  global: (module: string, name: string) => Buffer.from(`c${module}\n${name}\n`),
  tuple: (...items: Bytes[]) => Buffer.concat([ascii('('), ...items, ascii('t')]),
  list: (...items: Bytes[]) => Buffer.concat([ascii(']('), ...items, ascii('e')]),
  dict: (pairs: Record<string, Bytes>) =>
    Buffer.concat([ascii('}('), ...Object.entries(pairs).flatMap(([key, value]) => [op.text(key), value]), ascii('u')]),
  call: (callee: Bytes, ...args: Bytes[]) => Buffer.concat([callee, op.tuple(...args), ascii('R')]),
  raw: ascii,
  pickle: (...parts: Bytes[]) => Buffer.concat([ascii('\x80\x02'), ...parts, ascii('.')]),
};

export interface TensorParts {
  readonly key?: string;
  readonly storage?: string;
  /** Values of the storage. */
  readonly count?: number;
  readonly offset?: number;
  readonly shape?: readonly number[];
  readonly strides?: readonly number[];
  readonly view?: Bytes;
}

/** A tensor of four float32 in a storage of its own, unless told otherwise. */
export function tensor({
  key = '0',
  storage = 'FloatStorage',
  count = 4,
  offset = 0,
  shape = [4],
  strides = [1],
  view,
}: TensorParts = {}): Buffer {
  const id = op.tuple(
    op.text('storage'),
    op.global('torch', storage),
    op.text(key),
    op.text('cpu'),
    op.integer(count),
    ...(view === undefined ? [] : [view]),
  );
  const sizes = [shape, strides].map((numbers) => op.tuple(...numbers.map(op.integer)));
  const rest = [op.raw('\x89'), op.call(op.global('collections', 'OrderedDict'))];
  const parts = [Buffer.concat([id, op.raw('Q')]), op.integer(offset), ...sizes, ...rest];
  return op.call(op.global('torch._utils', '_rebuild_tensor_v2'), ...parts);
}

interface ZipEntry {
  readonly bytes: Bytes;
  /** As the archive has it: 0 stored, 8 deflated; flags, such as 1 for encrypted. */
  readonly method?: number;
  readonly flags?: number;
  /** Default: the right one. */
  readonly crc?: number;
}

/** An archive of entries that are stored as they are, in this order. */
export function zip(entries: readonly (readonly [name: string, entry: Bytes | ZipEntry])[]): Buffer {
  const files: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const [name, entry] of entries) {
    const { bytes, method = 0, flags = 0, crc }: ZipEntry = entry instanceof Uint8Array ? { bytes: entry } : entry;
    const sizes = Buffer.concat([uint32(crc ?? crc32(bytes)), uint32(bytes.length), uint32(bytes.length)]);
    const facts = Buffer.concat([uint16(20), uint16(flags), uint16(method), uint32(0), sizes, uint16(name.length)]);
    const local = Buffer.concat([ascii('PK\x03\x04'), facts, uint16(0), ascii(name), bytes]);
    directory.push(Buffer.concat([ascii('PK\x01\x02'), uint16(20), facts, Buffer.alloc(12), uint32(at), ascii(name)]));
    files.push(local);
    at += local.length;
  }
  const central = Buffer.concat(directory);
  const counts = [uint16(entries.length), uint16(entries.length), uint32(central.length), uint32(at), uint16(0)];
  return Buffer.concat([...files, central, ascii('PK\x05\x06'), uint32(0), ...counts]);
}

/** As torch.save writes it since 1.6: data.pkl and storages by their keys, in one folder. */
export function torchZip(pickle: Bytes, storages: Record<string, Bytes> = {}, folder = 'archive'): Buffer {
  const records = Object.entries(storages).map(([key, bytes]) => [`${folder}/data/${key}`, bytes] as const);
  return zip([[`${folder}/data.pkl`, pickle], ...records, [`${folder}/version`, ascii('3\n')]]);
}

const MAGIC = op.pickle(op.raw('\x8a\x0a'), Buffer.from('6cfc9c46f9206aa85019', 'hex'));

/** As torch.save wrote it before 1.6. */
export function torchLegacy(
  pickle: Bytes,
  storages: readonly (readonly [key: string, count: number, bytes: Bytes])[] = [],
  { magic = MAGIC, version = 1001, littleEndian = true } = {},
): Buffer {
  const machine = op.dict({ little_endian: op.raw(littleEndian ? '\x88' : '\x89') });
  const keys = op.list(...storages.map(([key]) => op.text(key)));
  const values = storages.flatMap(([, count, bytes]) => [int64(count), bytes]);
  const front = [magic, op.pickle(op.integer(version)), op.pickle(machine)];
  return Buffer.concat([...front, pickle, op.pickle(keys), ...values]);
}
