// The files that a folder's tokenizer is made from: tokenizer.json, or vocab.json and merges.txt as GPT-2 has them, and
// tokenizer_config.json. Reads their texts. Knows nothing of what is in them.

import { KvgenError } from '../errors.js';
import { TOKENIZER } from '../files/file-kinds.js';
import type { ModelFolder } from '../files/model-folder.js';

/** A file and its text. */
export interface TextFile {
  readonly path: string;
  readonly text: string;
}

/** Either tokenizer.json or the other two. */
export type TokenizerFiles = { readonly config: TextFile | undefined } & (
  | { readonly tokenizer: TextFile }
  | { readonly vocab: TextFile; readonly merges: TextFile }
);

/** Does the folder have a tokenizer's files? They may still be damaged. */
export function hasTokenizer(folder: ModelFolder): boolean {
  return folder.has('tokenizer.json') || (folder.has('vocab.json') && folder.has('merges.txt'));
}

/** @throws KvgenError if there are none, or if one cannot be read */
export async function readTokenizerFiles(folder: ModelFolder): Promise<TokenizerFiles> {
  const config = await readText(folder, 'tokenizer_config.json');
  const tokenizer = await readText(folder, 'tokenizer.json');
  if (tokenizer !== undefined) {
    return { config, tokenizer };
  }
  const vocab = await readText(folder, 'vocab.json');
  const merges = vocab && (await readText(folder, 'merges.txt'));
  if (vocab === undefined || merges === undefined) {
    throw new KvgenError(
      `${folder.dir}: no tokenizer: expected tokenizer.json, or vocab.json and merges.txt; download the folder again with them`,
    );
  }
  return { config, vocab, merges };
}

/** UTF-16 units of all of them. */
export function sizeOf({ config, ...files }: TokenizerFiles): number {
  return Object.values(files).reduce((sum, { text }) => sum + text.length, config?.text.length ?? 0);
}

/** undefined: it is not there. */
async function readText(folder: ModelFolder, name: string): Promise<TextFile | undefined> {
  const text = await folder.readText(name, TOKENIZER);
  return text === undefined ? undefined : { path: folder.path(name), text };
}
