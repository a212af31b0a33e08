// What secrets become which keys.

import { describe, expect, it } from 'vitest';
import { sealKey } from '../../src/store/seal-key.js';

const KEY = Buffer.from(Array.from({ length: 32 }, (_, i) => 251 - 7 * i));
const hexOf = async (secret: string | Uint8Array) => {
  const key = await sealKey(Buffer.from(secret));
  return key === undefined ? undefined : Buffer.from(key).toString('hex');
};

describe('a key', () => {
  it.each([
    ['32 bytes', KEY],
    ['64 hexadecimal digits', KEY.toString('hex')],
    ['in capitals, with a line end', `${KEY.toString('hex').toUpperCase()}\r\n`],
    ['base64', KEY.toString('base64')],
    ['base64 of URLs, with a line end', `${KEY.toString('base64url')}\n`],
  ])('from %s is the same', async (_, secret) => {
    expect(await hexOf(secret)).toBe(KEY.toString('hex'));
  });

  it('of 32 letters is their bytes, with and without a line end', async () => {
    const letters = 'abcdefghijklmnopqrstuvwxyz012345';
    expect(await hexOf(letters)).toBe(Buffer.from(letters).toString('hex'));
    expect(await hexOf(`${letters}\n`)).toBe(Buffer.from(letters).toString('hex'));
  });

  it('of a passphrase is stretched, the same each time', async () => {
    const words = 'nine words that nobody else would put in this order';
    expect(await hexOf(words)).toBe('8992384f20681af8cf2c9bc8ef400405d4d3df82847c8bf35b04ad59f58d8505');
    expect(await hexOf(`${words}\n`)).toBe(await hexOf(words));
    expect(await hexOf(`${words}.`)).not.toBe(await hexOf(words));
  });

  it('of 32 bytes may end with what is a line end elsewhere', async () => {
    const key = Buffer.alloc(32, 10);
    expect(await hexOf(key)).toBe(key.toString('hex'));
  });

  it.each(['', '\n', 'secret', 'a'.repeat(31)])('%j is too short', async (secret) => {
    expect(await sealKey(Buffer.from(secret))).toBeUndefined();
  });
});
