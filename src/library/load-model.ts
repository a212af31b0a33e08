// `loadModel` of the library: finds a model by name or folder and opens it.

import { GENERATE, type GenerateArgs } from '../settings.js';
import { findModel } from '../weights/find.js';
import { folderSource, type Model, openModel } from './model.js';

export interface LoadModelOptions {
  /** `auto` (default): the native engine where it is installed, else WebAssembly. */
  backend?: GenerateArgs['backend'];
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
export async function loadModel(model = 'stories', { backend = 'auto' }: LoadModelOptions = {}): Promise<Model> {
  GENERATE.backend.kind.fromValue(backend, 'backend');
  return openModel(await folderSource(findModel(model)), { backend });
}
