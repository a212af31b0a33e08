// Models in GGUF files, changed; by every command that opens a model.

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mutateGguf } from '../gguf.js';
import { mutateBytes } from '../mutate.js';
import { replaceFile } from './files.js';
import { runSome } from './model.js';

const FIXTURES = join(import.meta.dirname, '..', '..', 'test', 'fixtures', 'gguf');
/** One of each: architecture, tokenizer, blocks. */
const FILES = [
  'gpt2-q8_0',
  'gpt2-f16',
  'llama-q4_0',
  'llama-spm-f16',
  'llama-q3_k_m',
  'llama-rope-llama3-f16',
  'qwen2-q8_0',
];

/** @type {import('./index.js').Kind} */
export const ggufKind = {
  name: 'gguf',
  weight: 25,
  async run(random, { base }, tell) {
    const name = random.pick(FILES);
    mkdirSync('./m');
    const path = join('m', 'x.gguf');
    copyFileSync(join(FIXTURES, `${name}.gguf`), path);
    if (random.chance(0.04)) {
      tell(replaceFile(random, path, base));
    } else {
      for (let i = random.pick([1, 1, 2, 3]); i > 0; i--) {
        tell(`${name}: ${change(random, path)}`);
      }
    }
    return runSome(random, random.chance(0.5) ? './m' : './m/x.gguf', tell);
  },
};

function change(random, path) {
  const bytes = readFileSync(path);
  try {
    writeFileSync(path, mutateGguf(random, bytes));
    return 'mutateGguf';
  } catch {
    writeFileSync(path, mutateBytes(random, bytes)); // an earlier change has left no sound header
    return 'mutateBytes';
  }
}
