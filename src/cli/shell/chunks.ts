// Reads a stream piece by piece. Knows nothing of its contents.

import type { Readable } from 'node:stream';

/** The pieces of a stream, read only as fast as they are taken; ends when `signal` aborts. */
export async function* chunksOf(stream: Readable, signal: AbortSignal): AsyncGenerator<Buffer, void> {
  const stop = () => stream.destroy();
  signal.addEventListener('abort', stop);
  if (signal.aborted) {
    stop();
  }
  try {
    for await (const chunk of stream) {
      yield chunk as Buffer;
    }
  } catch (error) {
    if (!signal.aborted) {
      throw error;
    }
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
