// Opens a model's folder, or that of an adapter together with the folder of the model that it is of: which of the two each
// file is read from. Knows nothing of what is in the weights.

import { dirname, resolve } from 'node:path';
import { KvgenError, shown } from '../errors.js';
import { CONFIG } from '../files/file-kinds.js';
import { exists, isFolder } from '../files/look.js';
import { ModelFolder } from '../files/model-folder.js';
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS, parseAdapterConfig } from './adapter-config.js';
import { type FoundModel, findModel } from './find.js';
import { readJson } from './folder-json.js';
import { onlyGguf } from './gguf-choice.js';

const ADAPTER_FILES: readonly string[] = [ADAPTER_CONFIG, ...ADAPTER_WEIGHTS];
/** A tokenizer that was saved with an adapter takes the place of the model's, whole: one of these says that it was. */
const VOCABULARIES = ['tokenizer.json', 'vocab.json', 'vocab.txt', 'spiece.model', 'tokenizer.model'];
const TOKENIZER_FILE = /^(tokenizer|vocab|merges|added_tokens|special_tokens_map|spiece|chat_template)[\w.]*$/;

/**
 * As transformers does, an adapter is loaded wherever there is an adapter_config.json.
 * @throws KvgenError for an adapter that is not computed, or whose model is not here; for a folder with several GGUF files
 */
export async function openModelFolder(
  { dir, single }: Pick<FoundModel, 'dir' | 'single'>,
  signal?: AbortSignal,
): Promise<ModelFolder> {
  const file = single ?? onlyGguf(dir);
  if (file !== undefined) {
    return new ModelFolder(dir, signal, { single: file });
  }
  const own = new ModelFolder(dir, signal);
  const json = await readJson(own, ADAPTER_CONFIG, CONFIG);
  if (json === undefined) {
    return own;
  }
  const path = own.path(ADAPTER_CONFIG);
  const base = baseFolder(parseAdapterConfig(json, path).base, dir, path);
  const tokenizer = VOCABULARIES.some((name) => own.has(name)) ? dir : base;
  const folderOf = (name: string) => {
    if (ADAPTER_FILES.includes(name)) {
      return dir;
    }
    return TOKENIZER_FILE.test(name) ? tokenizer : base;
  };
  return new ModelFolder(dir, signal, { folderOf });
}

/** The folder that the config and the weights of the model are in. */
export function weightsFolder(folder: ModelFolder): string {
  return dirname(folder.path('config.json'));
}

/** A path is one from the adapter's folder or, as for transformers, from here, or the folder above; else a model's name. */
function baseFolder(base: string, dir: string, path: string): string {
  const found =
    [resolve(dir, base), resolve(base), resolve(dir, '..', base)].find((candidate) => isFolder(candidate, () => {})) ??
    named(base);
  if (found === undefined) {
    const isName = /^[\w.-]+(\/[\w.-]+)?$/.test(base);
    const help = isName ? `\`kvgen pull ${base}\` fetches it` : 'put the folder there, or correct the path in the file';
    throw new KvgenError(`${path}: base_model_name_or_path: the model ${shown(base)} is not here; ${help}`);
  }
  if (exists(resolve(found, ADAPTER_CONFIG))) {
    throw new KvgenError(`${path}: base_model_name_or_path: ${found} is an adapter itself; merge it in PEFT first`);
  }
  return found;
}

function named(base: string): string | undefined {
  try {
    return findModel(base).dir;
  } catch {
    return undefined;
  }
}
