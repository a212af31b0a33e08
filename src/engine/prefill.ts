// Prefill goes in chunks, so that progress shows, an abort is noticed and the memory of the attention scores
// is bounded. Chunked equals whole: each chunk sees the cache of those before it.

/** Ids in one forward pass of prefill. */
const CHUNK = 256;

export function prefillChunks(ids: readonly number[]): (readonly number[])[] {
  return Array.from({ length: Math.ceil(ids.length / CHUNK) }, (_, i) => ids.slice(i * CHUNK, (i + 1) * CHUNK));
}
