// Writes the files of an int8 folder: its weights, the source's config with a word on the weights, and what else of the
// source belongs to a model. The format: docs/int8-format.md. Knows nothing of how the weights were made.

import { existsSync } from 'node:fs';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { INT8_CONFIG } from './int8-format.js';
import { type WriteOptions, type WrittenTensor, writeSafetensors } from './write-safetensors.js';

/** What is copied where there is one. */
const COPIED = [
  'tokenizer.json',
  'tokenizer_config.json',
  'vocab.json',
  'merges.txt',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
  'generation_config.json',
];

/**
 * @param source a folder that was loaded, so that its config.json is sound
 * @param dir an empty folder
 * @throws the system's error, or what the signal aborts with
 */
export async function writeInt8Folder(
  source: string,
  dir: string,
  tensors: readonly WrittenTensor[],
  options: WriteOptions,
): Promise<void> {
  await writeSafetensors(join(dir, 'model.safetensors'), tensors, options);
  const config: object = JSON.parse(await readFile(join(source, 'config.json'), 'utf8'));
  const quantized = { ...config, quantization_config: INT8_CONFIG };
  await writeFile(join(dir, 'config.json'), `${JSON.stringify(quantized, null, 2)}\n`);
  for (const name of COPIED.filter((name) => existsSync(join(source, name)))) {
    await copyFile(join(source, name), join(dir, name));
  }
}
