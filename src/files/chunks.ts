// Reads a stream piece by piece, and puts pieces together. Knows nothing of their contents.

import type { Readable } from 'node:stream';

/** The pieces of a stream, read only as fast as they are taken; ends when `signal` aborts. */
export async function* chunksOf(stream: Readable, signal?: AbortSignal): AsyncGenerator<Uint8Array, void> {
  const stop = () => stream.destroy();
  signal?.addEventListener('abort', stop);
  if (signal?.aborted) {
    stop();
  }
  try {
    for await (const chunk of stream) {
      yield chunk as Uint8Array;
    }
  } catch (error) {
    if (!signal?.aborted) {
      throw error;
    }
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

export async function gather(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) {
    all.push(piece);
  }
  return Buffer.concat(all);
}
