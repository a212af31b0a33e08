// Prefill: the keys and values of ids, computed chunk by chunk or known from before, and the logits that follow. In
// chunks, so that progress shows, an abort is noticed and the memory of the attention scores is bounded; chunked equals
// whole, since each chunk sees the cache of those before it. Knows nothing of text, nor of who keeps what is known.

import { setImmediate } from 'node:timers/promises';
import type { Engine, Pass } from '../engine/engine.js';
import type { KvCache } from '../engine/kv-cache.js';
import type { Restored, Sequence, SequenceOptions } from './sequence.js';

/** Ids in one forward pass of prefill. */
const CHUNK = 256;

export interface PrefillResult {
  /** The caller's to dispose; null: no cache was wanted. */
  readonly cache: KvCache | null;
  /** null: aborted. */
  readonly logits: Float32Array | null;
}

/** Runs what of a sequence's prompt is not known, and tells its prompt cache. */
export async function prefillPrompt(engine: Engine, sequence: Sequence): Promise<PrefillResult> {
  const { ids, options } = sequence;
  const { onPromptLogits, promptCache } = options;
  const known = restore(sequence);
  const cache = options.cache ? (known?.cache ?? engine.newCache()) : null;
  try {
    const start = performance.now();
    const reused = cache?.length ?? 0;
    const logits = known?.logits ?? (await prefillIds(engine, ids, cache, options, onPromptLogits));
    sequence.prefilled(reused, logits !== null);
    if (logits !== null && cache !== null && !known?.logits) {
      promptCache?.keep({ promptIds: ids, cache, logits, reused, computeMs: performance.now() - start });
    }
    afterPrefill(sequence, cache);
    return { cache, logits };
  } catch (error) {
    cache?.dispose();
    throw error;
  }
}

/**
 * Runs what is left of a sequence at the end of the context: its head and a recent tail.
 * @param cache empty; null: no cache is wanted
 * @returns the logits that follow; null: aborted
 */
export async function reprefill(
  engine: Engine,
  sequence: Sequence,
  cache: KvCache | null,
): Promise<Float32Array | null> {
  sequence.shorten();
  const logits = await prefillIds(engine, sequence.window, cache, sequence.options);
  afterPrefill(sequence, cache);
  return logits;
}

function afterPrefill(sequence: Sequence, cache: KvCache | null): void {
  sequence.ran(cache?.length ?? 0);
  if (cache !== null) {
    cache.expected = cache.length + sequence.stepsLeft;
  }
}

/** What is known of a prompt; where all logits are asked for, nothing. */
function restore({ ids, options }: Sequence): Restored | null {
  const { cache, promptCache, onPromptLogits } = options;
  return cache && onPromptLogits === undefined ? (promptCache?.restore(ids) ?? null) : null;
}

/**
 * Runs the ids that `cache` does not hold.
 * @param onLogits told the logits that follow each of them, in order
 * @returns the logits that follow the last; null: aborted
 */
export async function prefillIds(
  engine: Engine,
  ids: readonly number[],
  cache: KvCache | null,
  { signal, onPrefill }: Pick<SequenceOptions, 'signal' | 'onPrefill'>,
  onLogits?: (logits: Float32Array) => void,
): Promise<Float32Array | null> {
  let last: Float32Array | null = null;
  for (const pass of passes(ids.slice(cache?.length ?? 0), cache !== null, onLogits !== undefined)) {
    await setImmediate(); // native calls block the event loop: signals are noticed here
    if (signal?.aborted) {
      return null;
    }
    for (const logits of engine.forward(pass, cache)) {
      last = logits;
      onLogits?.(logits);
    }
    onPrefill?.(cache?.length ?? ids.length, ids.length);
  }
  return last;
}

/** One sequence, and the logits behind its last id. */
export function lastOf(ids: readonly number[]): Pass {
  return { ids: [ids], wanted: [ids.length - 1] };
}

export function prefillChunks(ids: readonly number[]): (readonly number[])[] {
  return Array.from({ length: Math.ceil(ids.length / CHUNK) }, (_, i) => ids.slice(i * CHUNK, (i + 1) * CHUNK));
}

function passes(ids: readonly number[], cached: boolean, every: boolean): Pass[] {
  if (every) {
    return everyPass(ids, cached);
  }
  return cached ? prefillChunks(ids).map(lastOf) : [lastOf(ids)];
}

/** Passes that ask for the logits of every id, behind a cache or, all ids each time, without one. */
function everyPass(ids: readonly number[], cached: boolean): Pass[] {
  const places = prefillChunks(ids.map((_, i) => i));
  return prefillChunks(ids).map((chunk, i) =>
    cached ? { ids: [chunk], wanted: chunk.map((_, t) => t) } : { ids: [ids], wanted: places[i] as number[] },
  );
}
