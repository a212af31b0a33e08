// Writes the files of an int8 folder: its weights, the source's config with a word on the weights, and what else of the
// source belongs to a model. The format: docs/int8-format.md. Knows nothing of how the weights were made.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KvgenError } from '../errors.js';
import { TOKENIZER } from '../files/file-kinds.js';
import type { ModelFolder } from '../files/model-folder.js';
import { readAll } from '../files/open-file.js';
import { readConfig } from './folder.js';
import { INT8_CONFIG } from './int8-format.js';
import { type WriteOptions, type WrittenTensor, writeSafetensors } from './write-safetensors.js';

const CONFIG_NAME = 'config.json';
/** What is copied where there is one. */
const COPIED = [
  'tokenizer.json',
  'tokenizer_config.json',
  'vocab.json',
  'merges.txt',
  'vocab.txt',
  'spiece.model',
  'tokenizer.model',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
  'generation_config.json',
];

/** What an int8 folder has besides its weights, by name. */
export type Companions = ReadonlyMap<string, Uint8Array>;

/**
 * Reads them from the model's folder, and says in the config how the weights are stored.
 * @param source a folder whose config was found sound
 * @throws KvgenError for a file that is there and cannot be read
 */
export async function readCompanions(source: ModelFolder): Promise<Companions> {
  const companions = new Map<string, Uint8Array>();
  companions.set(CONFIG_NAME, await quantizedConfig(source));
  for (const name of source.single === undefined ? COPIED : []) {
    const file = await source.open(name, TOKENIZER);
    if (file !== undefined) {
      companions.set(name, await readAll(file));
    }
  }
  return companions;
}

async function quantizedConfig(source: ModelFolder): Promise<Buffer> {
  const config: object = Object(await readConfig(source));
  const quantized = { ...config, quantization_config: INT8_CONFIG };
  try {
    return Buffer.from(`${JSON.stringify(quantized, null, 2)}\n`);
  } catch {
    throw new KvgenError(`${source.path(CONFIG_NAME)}: nested too deep to be written again`);
  }
}

/**
 * @param dir an empty folder
 * @throws the system's error, or what the signal aborts with
 */
export async function writeInt8Folder(
  dir: string,
  tensors: readonly WrittenTensor[],
  companions: Companions,
  options: WriteOptions,
): Promise<void> {
  await writeSafetensors(join(dir, 'model.safetensors'), tensors, options);
  for (const [name, bytes] of companions) {
    await writeFile(join(dir, name), bytes);
  }
}
