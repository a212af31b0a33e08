// `kvgen doctor --bits` prints the table of docs/determinism.md, on any machine and with any number of threads.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { tempDirs } from '../support/temp-dir.js';
import { kvgen } from './run.js';

const DOCUMENT = fileURLToPath(new URL('../../docs/determinism.md', import.meta.url));
const [, table = ''] = /\$ kvgen doctor --bits\n([\s\S]*?)```/.exec(readFileSync(DOCUMENT, 'utf8')) ?? [];

const tempDir = tempDirs();
const int8Lines = table
  .split(/(?<=\n)/)
  .filter((line) => line.startsWith('int8'))
  .join('');

it('prints the hashes that the documentation has', async () => {
  expect(table.trim().split('\n').length).toBe(6);
  expect((await kvgen(['doctor', '--bits'])).stdout).toBe(table);
});

it('prints them for one form of the weights and one thread', async () => {
  const { stdout } = await kvgen(['doctor', '--bits', '--weights', 'int8', '--threads', '1']);
  expect(stdout).toBe(int8Lines);
});

it('prints the same for an int8 folder of the model, which has one form alone', async () => {
  const folder = join(tempDir(), 'stories-int8');
  expect((await kvgen(['quantize', 'stories', '-o', folder])).code).toBe(0);
  const { stdout } = await kvgen(['doctor', '--bits', '--threads', '1', '-m', folder]);
  expect(stdout).toBe(int8Lines);
});

it('is refused on a backend that promises no bits', async () => {
  const { code, stderr } = await kvgen(['doctor', '--bits', '--backend', 'node']);
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: 'kvgen: --bits cannot go with --backend node: only simd gives the same bits everywhere\n',
  });
});
