// Where the server may listen, and with which key.

import { describe, expect, it } from 'vitest';
import { UsageError } from '../../src/errors.js';
import { addressOf, readKey } from '../../src/server/access.js';

describe('without a key', () => {
  it.each([
    ['127.0.0.1', '127.0.0.1'],
    ['127.9.8.7', '127.9.8.7'],
    ['127.1', '127.0.0.1'],
    ['localhost', '127.0.0.1'],
    ['LOCALHOST', '127.0.0.1'],
    ['::1', '::1'],
    ['::ffff:127.0.0.1', '::ffff:127.0.0.1'],
  ])('%s is this machine', async (host, address) => {
    expect(await addressOf(host, undefined)).toBe(address);
  });

  it.each(['0.0.0.0', '::', '0', '192.168.1.2', '128.0.0.1', '::2', '::ffff:10.0.0.1', 'fe80::1'])(
    '%s can be reached from others',
    async (host) => {
      await expect(addressOf(host, undefined)).rejects.toThrow(UsageError);
      await expect(addressOf(host, undefined)).rejects.toThrow('can be reached from other machines: set KVGEN_API_KEY');
    },
  );
});

it('with a key any address of this machine will do', async () => {
  expect(await addressOf('0.0.0.0', 'key')).toBe('0.0.0.0');
  expect(await addressOf('::', 'key')).toBe('::');
});

it('a key is what a header can hold; an empty one is none', () => {
  expect(readKey({})).toBeUndefined();
  expect(readKey({ KVGEN_API_KEY: '' })).toBeUndefined();
  expect(readKey({ KVGEN_API_KEY: 'sk-1_2.3=' })).toBe('sk-1_2.3=');
  for (const key of ['a b', 'a\n', 'ä', '\u0000']) {
    expect(() => readKey({ KVGEN_API_KEY: key })).toThrow(UsageError);
  }
});
