// Opens what torch.save wrote, in either of its formats. Knows nothing of what is in it. Reference: torch/serialization.py of
// PyTorch.

import { KvgenError } from '../errors.js';
import type { OpenFile } from '../files/open-file.js';
import type { TorchArchive } from './torch-archive.js';

/** @throws KvgenError for a file that is neither of the two formats, or damaged, or asks for more than tensors */
export async function openTorch(file: OpenFile): Promise<TorchArchive> {
  const start = new Uint8Array(512);
  const bytes = Buffer.from(start.buffer, 0, await file.read(start, 0));
  if (bytes.subarray(0, 2).toString('latin1') === 'PK') {
    const { openTorchZip } = await import('./torch-zip.js');
    return openTorchZip(file);
  }
  if (bytes.subarray(257, 262).toString('latin1') === 'ustar') {
    throw new KvgenError(`${file.path}: the format of PyTorch before 0.1.10 (tar); load it and torch.save it again`);
  }
  const { openTorchLegacy } = await import('./torch-legacy.js');
  return openTorchLegacy(file);
}
