// CRC-32, the one of zip and gzip (RFC 1952, section 8): Node's own, which Node 20.15 and 22.2 brought, else a package's.

import { createRequire } from 'node:module';
import zlib from 'node:zlib';

/** @param start the CRC of the bytes before these */
export const crc32: (bytes: Uint8Array, start?: number) => number = zlib.crc32 ?? packaged;

/** @internal exported for its test: a newer Node never calls it */
export function packaged({ buffer, byteOffset, byteLength }: Uint8Array, start?: number): number {
  const { unsigned } = createRequire(import.meta.url)('buffer-crc32');
  return unsigned(Buffer.from(buffer, byteOffset, byteLength), start);
}
