// The files of torch.save that the fuzzer begins with are sound, and its changes reach the pickle and what is behind it.

import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { FOLDERS, writeFolders } from '../../fuzz/corpus.js';
import { Random } from '../../fuzz/random.js';
import { mutateTorch } from '../../fuzz/torch.js';
import { open } from '../support/open.js';
import { tempDirs } from '../support/temp-dir.js';

const tempDir = tempDirs();

it('each has the weights of the others', async () => {
  const parent = join(tempDir(), 'models');
  mkdirSync(parent);
  writeFolders(parent);
  const logitsOf = async (name: string) => {
    const model = await open(join(parent, name), { backend: 'simd', engine: 'auto' });
    const logits = model.logits([1, 2, 3], { cache: false });
    model.dispose();
    return logits;
  };
  expect(FOLDERS).toEqual(expect.arrayContaining(['torch', 'legacy', 'nanogpt']));
  const plain = await logitsOf('float32');
  expect(await logitsOf('torch')).toEqual(plain);
  expect(await logitsOf('legacy')).toEqual(plain);
  expect((await logitsOf('nanogpt')).length).toBe(plain.length); // its matrices are other ones
  const bytes = readFileSync(join(parent, 'torch', 'pytorch_model.bin'));
  const changed = Array.from({ length: 200 }, (_, n) => mutateTorch(new Random(3, n), bytes));
  expect(changed.filter((one) => one.equals(bytes)).length).toBeLessThan(10);
  expect(changed.filter((one) => one.includes('cos\nsystem\n')).length).toBeGreaterThan(5);
  expect(readFileSync(join(parent, 'torch', 'pytorch_model.bin')).equals(bytes)).toBe(true);
});
