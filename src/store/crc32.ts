// CRC-32 (the one of zip and gzip). Node's own where it has one (20.15 and later), else by table.
// Reference: RFC 1952, section 8.

import zlib from 'node:zlib';

const POLYNOMIAL = 0xedb88320;

/** @param start the CRC of the bytes before these */
export const crc32: (bytes: Uint8Array, start?: number) => number = zlib.crc32 ?? crc32ByTable;

let table: Uint32Array | undefined;

export function crc32ByTable(bytes: Uint8Array, start = 0): number {
  table ??= Uint32Array.from({ length: 256 }, (_, byte) => shiftByte(byte));
  let crc = ~start;
  for (const byte of bytes) {
    crc = (crc >>> 8) ^ (table[(crc ^ byte) & 0xff] as number);
  }
  return ~crc >>> 0;
}

function shiftByte(byte: number): number {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) {
    crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
  }
  return crc;
}
