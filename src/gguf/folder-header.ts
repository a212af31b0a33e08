// The header of the GGUF file that a model is in, read once for each model's folder: its config, its weights and its tokenizer
// all come from it. Knows nothing of models.

import { KvgenError } from '../errors.js';
import { WEIGHTS } from '../files/file-kinds.js';
import type { ModelFolder } from '../files/model-folder.js';
import type { OpenFile } from '../files/open-file.js';
import { type GgufHeader, readHeader } from './header.js';

const headers = new WeakMap<ModelFolder, Promise<GgufHeader>>();

/** @throws KvgenError where the file is missing, or no sound GGUF file */
export function ggufHeader(folder: ModelFolder): Promise<GgufHeader> {
  let header = headers.get(folder);
  if (header === undefined) {
    header = readOnce(folder);
    headers.set(folder, header);
  }
  return header;
}

/** @returns the caller's to close @throws KvgenError where there is none */
export async function openGguf(folder: ModelFolder, name: string): Promise<OpenFile> {
  const file = await folder.open(name, WEIGHTS);
  if (file === undefined) {
    throw new KvgenError(`${folder.path(name)}: not found; ${WEIGHTS.advice}`);
  }
  return file;
}

async function readOnce(folder: ModelFolder): Promise<GgufHeader> {
  const file = await openGguf(folder, folder.single as string);
  try {
    return await readHeader(file);
  } finally {
    await file.close();
  }
}
