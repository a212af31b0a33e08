// Files that Git LFS keeps elsewhere: a clone without it has a few lines in the place of each. Knows nothing of what the file
// would be. Source: docs/spec.md of git-lfs.

import { KvgenError, megabytes } from '../errors.js';
import type { OpenFile } from './open-file.js';

/** Bytes of the longest pointer. */
const MOST_BYTES = 1024;
const FIRST_LINE = /^version https:\/\/(git-lfs|hawser)\.github\.com\/spec\//;

/** @throws KvgenError for a pointer */
export async function refuseLfsPointer(file: OpenFile): Promise<void> {
  if (file.size > MOST_BYTES) {
    return;
  }
  const bytes = new Uint8Array(file.size);
  const text = Buffer.from(bytes.subarray(0, await file.read(bytes, 0))).toString('latin1');
  if (FIRST_LINE.test(text)) {
    const size = /^size (\d{1,15})$/m.exec(text)?.[1];
    const what = size === undefined ? 'a file' : `a file of ${sizeOf(Number(size))}`;
    throw new KvgenError(
      `${file.path}: a Git LFS pointer to ${what} that was not fetched; \`git lfs pull\` in the folder fetches it, ` +
        'or `kvgen pull OWNER/NAME` the whole model',
    );
  }
}

/** A tokenizer's file may be too small for MB. */
function sizeOf(bytes: number): string {
  return bytes < 50_000 ? `${bytes} bytes` : megabytes(bytes);
}
