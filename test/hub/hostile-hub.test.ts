// A hub that says anything at all: the answer is one line, or a model; and nothing is ever written outside the model's folder.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { KvgenError } from '../../src/errors.js';
import { tempDirs } from '../support/temp-dir.js';
import { FakeHub, json } from './fake-hub.js';
import { COMMIT, pullFrom } from './pulls.js';

const tempDir = tempDirs();
let hub: FakeHub;
beforeAll(async () => {
  hub = await new FakeHub().listen();
});
afterAll(() => hub.close());

const NASTY = [
  '..',
  '.',
  '',
  'a',
  'config.json',
  'model.safetensors',
  'NUL',
  'a\0',
  '\u202e',
  'x'.repeat(300),
  '%2e%2e',
  '~',
  '\\',
  ':',
];
const path = fc.oneof(
  fc.array(fc.constantFrom(...NASTY), { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/')),
  fc.constantFrom('config.json', 'model.safetensors', 'model.safetensors.index.json', 'adapter_config.json', 'ckpt.pt'),
  fc.string(),
);
const hash = fc.oneof(
  fc.constantFrom('a'.repeat(40), 'b'.repeat(64), '../'.repeat(13), `../${'a'.repeat(37)}`, 'A'.repeat(40), ''),
  fc.jsonValue(),
);
const size = fc.oneof(fc.constantFrom(0, 1, 2, 5, -1, 1.5, 2 ** 53), fc.jsonValue());
const entry = fc.oneof(
  fc.record({ type: fc.constantFrom('file', 'directory', 'x'), path, size, oid: hash }),
  fc.record({ type: fc.constant('file'), path, size, oid: hash, lfs: fc.record({ oid: hash, size }) }),
  fc.jsonValue(),
);

it('is refused in one line, and leaves all other files alone', async () => {
  const home = tempDir();
  const cache = join(home, 'cache', 'hub');
  mkdirSync(cache, { recursive: true });
  for (const place of [home, join(home, 'cache'), cache]) {
    writeFileSync(join(place, 'a'), 'mine');
    writeFileSync(join(place, 'config.json'), 'mine');
  }
  const property = fc.asyncProperty(fc.array(entry, { maxLength: 6 }), fc.boolean(), async (entries, byPattern) => {
    hub.misbehave = ({ path }, response) => {
      if (path.includes('/revision/')) {
        json(response, { sha: COMMIT });
      } else if (path.includes('/tree/')) {
        json(response, entries);
      } else {
        response.end('{}');
      }
      return true;
    };
    const patience = { silence: 20_000, retries: 0, firstDelay: 0, giveUp: 1000, longestWait: 0 };
    const error = await pullFrom(hub, cache, { patterns: byPattern ? ['*'] : [], patience }).catch((thrown) => thrown);
    expect(error instanceof KvgenError || 'dir' in error).toBe(true);
    expect(error.message ?? '').not.toMatch(/[\r\n]/);
    expect(readdirSync(home).sort()).toEqual(['a', 'cache', 'config.json']);
    expect(readdirSync(join(home, 'cache')).sort()).toEqual(['a', 'config.json', 'hub']);
    expect(
      readdirSync(cache)
        .filter((name) => name !== 'models--me--model')
        .sort(),
    ).toEqual(['a', 'config.json']);
    expect(readFileSync(join(cache, 'config.json'), 'utf8')).toBe('mine');
  });
  await fc.assert(property, { numRuns: 300 });
});
