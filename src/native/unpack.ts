// Takes chosen entries out of a zip file. No entry may leave the target folder, be anything but a plain file,
// or unpack to more than it declares. Knows nothing of wheels.

import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, resolve, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import yauzl from 'yauzl';

export interface UnpackOptions {
  /** Where an entry goes, relative to the target, or undefined to leave it out. */
  readonly choose: (entryName: string) => string | undefined;
  /** The most that all chosen entries together may unpack to. */
  readonly maxBytes: number;
  readonly signal?: AbortSignal | undefined;
}

export async function unpack(archive: string, target: string, options: UnpackOptions): Promise<void> {
  const zip = await yauzl.openPromise(archive, { strictFileNames: true, validateEntrySizes: true });
  let total = 0;
  try {
    for await (const entry of zip.eachEntry()) {
      const relative = options.choose(entry.fileName);
      if (relative === undefined) {
        continue;
      }
      total += entry.uncompressedSize;
      if (total > options.maxBytes) {
        throw new Error(`${entry.fileName}: expected at most ${options.maxBytes} bytes unpacked, found ${total}`);
      }
      const path = insideOf(target, relative);
      await mkdir(dirname(path), { recursive: true });
      const stream = await zip.openReadStreamPromise(entry);
      const out = createWriteStream(path, { flags: 'wx', mode: 0o644 });
      await pipeline(stream, out, options.signal === undefined ? {} : { signal: options.signal });
    }
  } finally {
    zip.close();
  }
}

function insideOf(target: string, relative: string): string {
  const path = resolve(target, relative);
  if (!path.startsWith(resolve(target) + sep)) {
    throw new Error(`${relative}: leaves the folder it is unpacked to`);
  }
  return path;
}
