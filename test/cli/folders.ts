// Model folders for the tests of the command: fast to load on the cpu backend, with contexts as long as needed.

import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { goldenDir } from '../support/golden.js';
import { randomTensors, TINY } from '../support/model-folder.js';
import { writeSafetensors } from '../support/safetensors.js';

/** 260 tokens, nearly all of one byte; 40 positions. Its texts are noise. */
export const BYTES = goldenDir('padded-vocab');

function writeFolder(dir: string, sizes: Partial<typeof TINY>): void {
  const config = { ...TINY, ...sizes };
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
  writeSafetensors(join(dir, 'model.safetensors'), randomTensors(config));
}

/** As BYTES, with a context of 8192: prefill takes many chunks. */
export function writeLongFolder(dir: string): string {
  writeFolder(dir, { vocab_size: 260, n_positions: 8192, eos_token_id: 0 });
  copyFileSync(join(BYTES, 'tokenizer.json'), join(dir, 'tokenizer.json'));
  return dir;
}

/** Every token is a text of 1000 letters, all the same one. */
export function writeFloodFolder(dir: string): string {
  writeFolder(dir, { n_positions: 8192 });
  const letters = 'abcdefghijklmnopqrstuvwxyzABCDEF';
  const vocab = Object.fromEntries([...letters].map((letter, id) => [letter.repeat(1000), id]));
  const tokenizer = {
    added_tokens: [],
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', vocab, merges: [] },
  };
  writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(tokenizer));
  return dir;
}
