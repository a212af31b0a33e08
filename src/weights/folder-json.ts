// Reads a JSON file of a model's folder. Knows nothing of what is in it.

import { errorMessage, KvgenError } from '../errors.js';
import type { FileKind } from '../files/file-kinds.js';
import type { ModelFolder } from '../files/model-folder.js';

/** Returns the parsed file, or undefined where there is none. @throws KvgenError for what cannot be read or is not JSON */
export async function readJson(folder: ModelFolder, name: string, kind: FileKind): Promise<unknown> {
  const text = await folder.readText(name, kind);
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch (error) {
    throw new KvgenError(`${folder.path(name)}: not JSON (${errorMessage(error)}); download it again`);
  }
}
