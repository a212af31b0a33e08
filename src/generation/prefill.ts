// Prefill: fills the cache with a prompt's keys and values and gives the logits that follow. It runs in chunks, so that
// progress shows, an abort is noticed and the memory of the attention scores is bounded. Each chunk sees the cache of
// those before it, so the result is that of one whole pass. Knows nothing of text or of where known keys come from.

import { setImmediate } from 'node:timers/promises';
import type { Engine, Pass } from '../engine/engine.js';
import type { KvCache } from '../engine/kv-cache.js';
import { checkLogits } from '../sampling/finite.js';
import type { Restored, Sequence, SequenceOptions } from './sequence.js';

/** Ids in one pass of prefill. */
const CHUNK = 256;

interface PrefillResult {
  /** The caller's to dispose; null: no cache was wanted. */
  readonly cache: KvCache | null;
  /** Not borrowed from the engine, so they may be kept; null: aborted. */
  readonly logits: Float32Array | null;
}

/**
 * Runs the part of a sequence's prompt that the prompt cache does not know, and gives the prompt cache the result.
 * @throws KvgenError for logits that are not numbers
 */
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
    if (logits !== null && options.maxTokens === 0) {
      checkLogits(logits); // else the sampler does
    }
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
 * At the end of the context: shortens a sequence to its head and a recent tail, and runs these.
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

/** What is known of a prompt; nothing where the logits of the whole prompt are asked for. */
function restore({ ids, options }: Sequence): Restored | null {
  const { cache, promptCache, onPromptLogits } = options;
  return cache && onPromptLogits === undefined ? (promptCache?.restore(ids) ?? null) : null;
}

/**
 * Runs the ids that `cache` does not hold.
 * @param onLogits receives the logits that follow each of them, in order
 * @returns the logits that follow the last; null: aborted
 */
async function prefillIds(
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
  return last?.slice() ?? null; // borrowed from the engine, and a prompt's are kept
}

/** A pass over one sequence that asks for the logits after its last id. */
export function lastOf(ids: readonly number[]): Pass {
  return { ids: [ids], wanted: [ids.length - 1] };
}

export function prefillChunks(ids: readonly number[]): (readonly number[])[] {
  return Array.from({ length: Math.ceil(ids.length / CHUNK) }, (_, i) => ids.slice(i * CHUNK, (i + 1) * CHUNK));
}

function passes(ids: readonly number[], cached: boolean, wantsAll: boolean): Pass[] {
  if (wantsAll) {
    return passesForAll(ids, cached);
  }
  return cached ? prefillChunks(ids).map(lastOf) : [lastOf(ids)];
}

/** Passes that ask for the logits after every id. Without a cache each of them runs all ids. */
function passesForAll(ids: readonly number[], cached: boolean): Pass[] {
  const indices = prefillChunks(ids.map((_, i) => i));
  return prefillChunks(ids).map((chunk, i) =>
    cached ? { ids: [chunk], wanted: chunk.map((_, t) => t) } : { ids: [ids], wanted: indices[i] as number[] },
  );
}
