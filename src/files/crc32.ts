// CRC-32 as zip and gzip have it (RFC 1952, section 8). Node has it from 20.15 and 22.2 on; for an older one a package
// computes it.

import { createRequire } from 'node:module';
import zlib from 'node:zlib';

/** @param start the CRC of the bytes before these */
export const crc32: (bytes: Uint8Array, start?: number) => number = zlib.crc32 ?? packaged;

/** In eight hexadecimal digits. */
export function crcDigits(bytes: Uint8Array, start?: number): string {
  return crc32(bytes, start).toString(16).padStart(8, '0');
}

/** @internal exported for its test: a newer Node never calls it */
export function packaged({ buffer, byteOffset, byteLength }: Uint8Array, start?: number): number {
  const { unsigned } = createRequire(import.meta.url)('buffer-crc32');
  return unsigned(Buffer.from(buffer, byteOffset, byteLength), start);
}
