// Prefill goes in chunks, so that progress shows, an abort is noticed and the memory of the attention scores
// is bounded. Chunked equals whole: each chunk sees the cache of those before it.

import type { Rows } from '../tf/inputs.js';

/** Ids in one forward pass of prefill. */
const CHUNK = 256;

export function prefillChunks(ids: readonly number[]): (readonly number[])[] {
  return Array.from({ length: Math.ceil(ids.length / CHUNK) }, (_, i) => ids.slice(i * CHUNK, (i + 1) * CHUNK));
}

/** The passes of prefill that ask for the logits of every id, behind a cache or, all ids each time, without one. */
export function everyRow(ids: readonly number[], cached: boolean): Rows[] {
  const rows = prefillChunks(ids.map((_, i) => i));
  return prefillChunks(ids).map((chunk, i) =>
    cached ? { ids: [chunk], wanted: chunk.map((_, t) => t) } : { ids: [ids], wanted: rows[i] as number[] },
  );
}
