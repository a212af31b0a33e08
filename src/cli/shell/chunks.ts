// A stream as it arrives. Knows nothing of what is in it.

import type { Readable } from 'node:stream';

/** Pieces of a stream, read no faster than they are asked for; ends when `signal` aborts. */
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
