// What `import … from 'kvgen'` gives. Everything else is internal.

import { type BackendName, loadBackend } from './backend/backend.js';
import { findModel, weightBytes } from './model/find.js';
import { type Model, openModel } from './model/model.js';

export interface LoadModelOptions {
  /** `auto` (default): the native engine where it is installed, else WebAssembly. */
  backend?: BackendName | 'auto';
}

/**
 * Loads a GPT-2-style model.
 * @param model a folder (a path with a separator in it) or a name, as the command's `-m` takes them
 * @returns the model; call `dispose()` when done with it
 * @throws Error with one line that says what is wrong with the folder, and where
 * @example
 * const model = await loadModel('stories');
 * const logits = model.logits([431, 12], { cache: true }); // Float32Array [vocabSize]
 * model.dispose();
 */
export async function loadModel(model = 'stories', options: LoadModelOptions = {}): Promise<Model> {
  const { dir } = findModel(model);
  const backend = await loadBackend({ choice: options.backend ?? 'auto', modelBytes: weightBytes(dir), graph: true });
  return openModel(dir, backend);
}

export type { BackendName, Model };
