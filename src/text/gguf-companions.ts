// The files of a tokenizer that a folder made from a GGUF file has, by their names. Knows nothing of what is in them.

import type { ModelFolder } from '../files/model-folder.js';
import { hasTokenizer, readTokenizerFiles } from './tokenizer-files.js';

/** None for a model that is no GGUF file, whose files are copied. @throws KvgenError for a tokenizer that is damaged */
export async function tokenizerCompanions(folder: ModelFolder): Promise<Map<string, Uint8Array>> {
  if (folder.single === undefined || !(await hasTokenizer(folder))) {
    return new Map();
  }
  const { tokenizer, config } = await readTokenizerFiles(folder);
  return new Map([
    ['tokenizer.json', Buffer.from(tokenizer?.text ?? '')],
    ['tokenizer_config.json', Buffer.from(config?.text ?? '')],
  ]);
}
