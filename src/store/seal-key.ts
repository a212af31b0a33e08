// The key of sealed files, from what a person has as a secret: 32 bytes as they are, in hexadecimal or base64, or a longer
// passphrase. Knows nothing of where the secret comes from.

import { scrypt } from 'node:crypto';
import { promisify } from 'node:util';

const KEY_BYTES = 32;
/** A tenth of a second and 32 MB for each guess at a passphrase. */
const COST = { N: 2 ** 15, r: 8, p: 1, maxmem: 2 ** 26 };
/** One for all, so that the same passphrase opens the same files everywhere. */
const SALT = 'kvgen cache key 1';

/**
 * @param secret one line end behind it does not count
 * @returns undefined for one of fewer than 32 bytes
 */
export async function sealKey(secret: Uint8Array): Promise<Uint8Array | undefined> {
  const bytes = secret.length > KEY_BYTES ? withoutLineEnd(Buffer.from(secret)) : Buffer.from(secret);
  if (bytes.length <= KEY_BYTES) {
    return bytes.length < KEY_BYTES ? undefined : bytes;
  }
  return decoded(bytes.toString('latin1')) ?? (await stretched(bytes));
}

function withoutLineEnd(bytes: Buffer): Buffer {
  return Buffer.from(bytes.toString('latin1').replace(/\r?\n$/, ''), 'latin1');
}

/** Returns undefined for what is not exactly 32 bytes in hexadecimal or base64. */
function decoded(text: string): Buffer | undefined {
  if (/^[0-9a-f]{64}$/i.test(text)) {
    return Buffer.from(text, 'hex');
  }
  return /^[\w+/-]{43}=?$/.test(text) ? Buffer.from(text, 'base64') : undefined;
}

async function stretched(passphrase: Buffer): Promise<Buffer> {
  const derive = promisify<Buffer, string, number, object, Buffer>(scrypt);
  return derive(passphrase, SALT, KEY_BYTES, COST);
}
