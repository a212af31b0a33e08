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
  const other = OTHERS.find(({ fits }) => fits(bytes.toString('latin1')));
  if (other !== undefined) {
    throw new KvgenError(`${file.path}: ${other.what}; ${other.help}`);
  }
  const { openTorchLegacy } = await import('./torch-legacy.js');
  return openTorchLegacy(file);
}

/** What people have under such a name, by its first bytes as Latin-1. */
const OTHERS: readonly { fits: (start: string) => boolean; what: string; help: string }[] = [
  {
    fits: (start) => /^\{\s*"/.test(start.slice(8)),
    what: 'safetensors under another name',
    help: 'rename it to model.safetensors',
  },
  { fits: (start) => start.startsWith('GGUF'), what: 'GGUF under another name', help: 'let its name end in .gguf' },
  { fits: (start) => /^\s*</.test(start), what: 'a page of the web', help: 'download the file again' },
  { fits: (start) => start.startsWith('\x1f\x8b'), what: 'compressed by gzip', help: 'unpack it with gunzip' },
  {
    fits: (start) => start.startsWith('ustar', 257),
    what: 'the format of PyTorch before 0.1.10 (tar)',
    help: 'load it and torch.save it again',
  },
];
