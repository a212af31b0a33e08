// Writes the safetensors format: the header first, then the tensors one after the other, each from where it lies. Knows
// nothing of models. Reference: the section on the format in the README of huggingface/safetensors.

import { open } from 'node:fs/promises';

export interface WrittenTensor {
  readonly name: string;
  readonly dtype: 'F32' | 'I8';
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

export interface WriteOptions {
  /** Called before each tensor. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * @param path of a file that does not exist yet
 * @throws the system's error, or what `signal` aborts with
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly WrittenTensor[],
  { onProgress, signal }: WriteOptions = {},
): Promise<void> {
  const file = await open(path, 'wx');
  try {
    await file.writeFile(headerOf(tensors));
    for (const [done, { bytes }] of tensors.entries()) {
      onProgress?.(done, tensors.length);
      signal?.throwIfAborted();
      await file.writeFile(bytes, { signal });
    }
  } finally {
    await file.close();
  }
}

/** The length of the header, then JSON, filled up with spaces so that the tensors begin at a multiple of 8. */
function headerOf(tensors: readonly WrittenTensor[]): Buffer {
  const header: Record<string, unknown> = { __metadata__: { format: 'kvgen-int8' } };
  let end = 0;
  for (const { name, dtype, shape, bytes } of tensors) {
    header[name] = { dtype, shape, data_offsets: [end, end + bytes.length] };
    end += bytes.length;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Math.ceil(json.length / 8) * 8;
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(length));
  return Buffer.concat([prefix, json, Buffer.alloc(length - json.length, ' ')]);
}
