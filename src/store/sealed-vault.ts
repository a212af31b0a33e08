// The vault of somebody who has a key: what is stored is encrypted and authenticated (AES-256-GCM, a random nonce each, the
// name as additional data), and so is its name: its HMAC-SHA-256 is the IV that it is encrypted under, as in RFC 5297 (SIV).
// So the same name always has the same file, and without the key nobody can tell whether a file belongs to a name, or two
// files to one prompt. All names are made equally long. Knows nothing of where the key comes from, or of what is stored.

import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import { SEALED, type Vault } from './vault.js';

/** The first bytes of a file. Raise the number whenever the format changes. */
const MAGIC = Buffer.from('kvseal01');
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const IV_BYTES = 16;
/** The longest name of this room has fewer. */
const NAME_BYTES = 160;
/** Names that are remembered, which takes some ten megabytes. */
const MOST_REMEMBERED = 20_000;

/**
 * @param key 32 bytes
 * @param kind what is stored: files of one kind are none of another's
 */
export function sealedVault(key: Uint8Array, kind: string): Vault {
  const derive = (use: string) => Buffer.from(hkdfSync('sha256', key, '', `kvgen ${kind} ${use}`, 32));
  const [ivKey, nameKey, contentKey] = [derive('name iv'), derive('names'), derive('contents')] as const;
  const ivOf = (name: Uint8Array) => createHmac('sha256', ivKey).update(name).digest().subarray(0, IV_BYTES);
  const crypt = (iv: Uint8Array, bytes: Uint8Array) => createCipheriv('aes-256-ctr', nameKey, iv).update(bytes);
  const context = (name: string) => Buffer.from(`${MAGIC} ${kind} ${name}`);
  return {
    isSealed: true,
    overhead: MAGIC.length + NONCE_BYTES + TAG_BYTES,
    fileOf: remembered((name) => {
      const padded = Buffer.alloc(NAME_BYTES);
      if (Buffer.byteLength(name) > NAME_BYTES) {
        throw new Error(`a name of at most ${NAME_BYTES} bytes expected, found ${name}`);
      }
      padded.write(name);
      const iv = ivOf(padded);
      return fileWith(Buffer.concat([iv, crypt(iv, padded)]));
    }),
    nameOf: remembered((file) => {
      const bytes = Buffer.from(SEALED.test(file) ? file.slice('sealed-'.length) : '', 'base64url');
      if (bytes.length !== IV_BYTES + NAME_BYTES || fileWith(bytes) !== file) {
        return undefined;
      }
      const iv = bytes.subarray(0, IV_BYTES);
      const padded = crypt(iv, bytes.subarray(IV_BYTES));
      return timingSafeEqual(ivOf(padded), iv) ? padded.toString().replace(/\0*$/, '') : undefined;
    }),
    seal(name, bytes) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', contentKey, nonce).setAAD(context(name));
      const parts = [MAGIC, nonce, cipher.update(bytes), cipher.final()];
      return new Uint8Array(Buffer.concat([...parts, cipher.getAuthTag()]));
    },
    open(name, bytes) {
      const [from, to] = [MAGIC.length + NONCE_BYTES, bytes.length - TAG_BYTES];
      if (to < from || !MAGIC.equals(bytes.subarray(0, MAGIC.length))) {
        throw new Error('it is truncated, or not sealed');
      }
      const nonce = bytes.subarray(MAGIC.length, from);
      const decipher = createDecipheriv('aes-256-gcm', contentKey, nonce, { authTagLength: TAG_BYTES });
      decipher.setAAD(context(name)).setAuthTag(bytes.subarray(to));
      try {
        const opened = decipher.update(bytes.subarray(from, to));
        decipher.final();
        return fromItsStart(opened);
      } catch {
        throw new Error('it was not sealed with this key under this name, or is damaged');
      }
    },
  };
}

/** A folder is listed several times in a run, and a name always has the same file. */
function remembered<T>(compute: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    const found = known.has(text) ? (known.get(text) as T) : compute(text);
    if (known.size >= MOST_REMEMBERED) {
      known.clear();
    }
    known.set(text, found);
    return found;
  };
}

function fileWith(name: Buffer): string {
  return `sealed-${name.toString('base64url')}`;
}

/** Readers of numbers want bytes that begin where their memory does. */
function fromItsStart({ buffer, byteOffset, length }: Buffer): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(buffer as ArrayBuffer, byteOffset, length);
  return byteOffset === 0 ? bytes : bytes.slice();
}
