// Loads the backend of a test file, and models onto it.

import type { Model } from '../../src/library/model.js';
import { folderSource, type OpenOptions, openModel } from '../../src/library/model.js';
import { type Backend, loadBackend, type TfBackendName } from '../../src/tf/backend.js';

let backend: Backend | undefined;

/** Once a test file: TF.js has one backend a process. */
export async function useBackend(name: TfBackendName): Promise<Backend> {
  const loaded = await loadBackend(name, { modelBytes: 0, graph: false });
  backend = loaded;
  return loaded;
}

/** On the eager engine, unless another is asked for. */
export async function open(dir: string, options: OpenOptions = {}): Promise<Model> {
  return openModel(await folderSource({ name: 'test', dir, source: 'path' }), {
    backend: backend?.name,
    engine: 'eager',
    ...options,
  });
}
