// Writes the int8 folder of a model folder, as `kvgen quantize` does.

import { int8Tensors } from '../../src/library/int8-tensors.js';
import { folderSource, openModel } from '../../src/library/model.js';
import { readCompanions, writeInt8Folder } from '../../src/weights/int8-folder.js';

/** @param dir an empty folder. @returns it */
export async function writeInt8(source: string, dir: string): Promise<string> {
  const found = await folderSource({ name: 'test', dir: source, source: 'path' });
  const model = await openModel(found, { backend: 'simd', weights: 'int8', threads: 1 });
  try {
    const tensors = await int8Tensors(model, found, new AbortController().signal);
    await writeInt8Folder(dir, tensors, await readCompanions(found.folder), {});
  } finally {
    model.dispose();
  }
  return dir;
}
