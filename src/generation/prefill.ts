// Prefill: the keys and values of ids, computed chunk by chunk or known from before, and the logits that follow.
// Knows nothing of text, nor of who keeps what is known.

import { setImmediate } from 'node:timers/promises';
import { type Engine, lastRow } from '../engine/engine.js';
import type { Rows } from '../tf/inputs.js';
import type { KvCache } from '../tf/tensor-cache.js';
import { everyRow, prefillChunks } from './prefill-chunks.js';
import type { GenerateOptions, Restored, Sequence } from './sequence.js';

export interface PrefillResult {
  /** The caller's to dispose; null: no cache was wanted. */
  readonly cache: KvCache | null;
  /** null: aborted. */
  readonly logits: Float32Array | null;
}

/** Runs what of a sequence's prompt is not known, and tells its prompt cache. */
export async function prefillPrompt(engine: Engine, sequence: Sequence): Promise<PrefillResult> {
  const { ids, options, stats } = sequence;
  const { onPromptLogits, promptCache } = options;
  const known = restore(sequence);
  const cache = options.cache ? (known?.cache ?? engine.newCache()) : null;
  try {
    const start = performance.now();
    stats.reusedTokens = cache?.length ?? 0;
    if (cache !== null) {
      engine.prepare?.(onPromptLogits === undefined ? 'prefill' : 'rows', ids.length - cache.length);
    }
    const logits = known?.logits ?? (await prefillIds(engine, ids, cache, options, onPromptLogits));
    if (logits !== null) {
      stats.promptMs = sequence.elapsed;
    }
    if (logits !== null && cache !== null && !known?.logits) {
      const { reusedTokens: reused } = stats;
      promptCache?.keep({ promptIds: ids, cache, logits, reused, computeMs: performance.now() - start });
    }
    return { cache, logits };
  } catch (error) {
    cache?.dispose();
    throw error;
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
  { signal, onPrefill }: Pick<GenerateOptions, 'signal' | 'onPrefill'>,
  onLogits?: (logits: Float32Array) => void,
): Promise<Float32Array | null> {
  const { vocabSize } = engine.config;
  let logits: Float32Array | null = null;
  for (const rows of passes(ids.slice(cache?.length ?? 0), cache !== null, onLogits !== undefined)) {
    await setImmediate(); // native calls block the event loop: signals are noticed here
    if (signal?.aborted) {
      return null;
    }
    const values = engine.forwardRows(rows, cache);
    for (let i = 0; i < rows.wanted.length; i++) {
      logits = values.subarray(i * vocabSize, (i + 1) * vocabSize);
      onLogits?.(logits);
    }
    onPrefill?.(cache?.length ?? ids.length, ids.length);
  }
  return logits;
}

function passes(ids: readonly number[], cached: boolean, every: boolean): Rows[] {
  if (every) {
    return everyRow(ids, cached);
  }
  return cached ? prefillChunks(ids).map(lastRow) : [lastRow(ids)];
}
