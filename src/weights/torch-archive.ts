// What torch.save wrote, in whichever of its formats: the object that was saved, and where its storages lie. Knows nothing of
// the formats or of models.

import type { TorchStorage } from './torch-objects.js';

export interface TorchArchive {
  /** Of dicts (Map), lists, texts, numbers and TorchTensor. */
  readonly root: unknown;
  /** Where the values of a storage begin, in bytes. @throws KvgenError where the file does not hold all of them */
  place(storage: TorchStorage): Promise<number>;
}

/** Far more than the pickle of any model, whose values are outside of it. */
export const MAX_PICKLE_BYTES = 64_000_000;
