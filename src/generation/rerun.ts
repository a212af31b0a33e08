// Runs the ids of a finished text once more, for what a run does not keep: what heads looked at, the logits behind each id of the
// prompt, and what each step takes without a cache. Nothing of the run itself changes by it. Knows nothing of text.

import { setImmediate } from 'node:timers/promises';
import type { Engine, LayerAttention } from '../engine/engine.js';
import { lastOf, prefillChunks } from './prefill.js';

interface Looking {
  readonly signal: AbortSignal;
  readonly onProgress: (done: number, total: number) => void;
  /** undefined: nobody asks what heads look at. */
  readonly onAttention?: ((attention: LayerAttention) => void) | undefined;
  /** Receives the logits behind each id, borrowed. */
  readonly onLogits?: ((logits: Float32Array) => void) | undefined;
}

/** Runs ids in chunks, in a cache of its own. @returns false: the signal aborted */
export async function rerun(engine: Engine, ids: readonly number[], looking: Looking): Promise<boolean> {
  const { signal, onProgress, onAttention, onLogits } = looking;
  const cache = engine.newCache();
  try {
    for (const chunk of prefillChunks(ids)) {
      onProgress(cache.length, ids.length);
      await setImmediate(); // native calls block the event loop: signals are noticed here
      if (signal.aborted) {
        return false;
      }
      const wanted = onLogits === undefined ? [chunk.length - 1] : chunk.map((_, t) => t);
      for (const logits of engine.forward({ ids: [chunk], wanted, onAttention }, cache)) {
        onLogits?.(logits);
      }
    }
    return true;
  } finally {
    cache.dispose();
  }
}

interface Timing extends Pick<Looking, 'signal' | 'onProgress'> {
  /** The most ids that one pass may run. */
  readonly mostIds: number;
  /** The most milliseconds that all of them take together. */
  readonly budgetMs: number;
}

/**
 * What each token behind the first `from` ids would have cost with no cache: a pass over all ids before it.
 * @returns milliseconds by token, as far as there was time
 */
export async function uncachedTimes(
  engine: Engine,
  ids: readonly number[],
  from: number,
  { signal, onProgress, mostIds, budgetMs }: Timing,
): Promise<number[]> {
  const times: number[] = [];
  const start = performance.now();
  if (!signal.aborted && from < ids.length && from <= mostIds) {
    engine.forward(lastOf(ids.slice(0, from)), null); // the first pass of its kind takes longer, and counts for nothing
  }
  for (let length = from; length < ids.length && length <= mostIds; length++) {
    onProgress(times.length, ids.length - from);
    await setImmediate();
    const passed = performance.now() - start;
    if (signal.aborted || passed + (times.at(-1) ?? 0) > budgetMs) {
      break;
    }
    engine.forward(lastOf(ids.slice(0, length)), null);
    times.push(performance.now() - start - passed);
  }
  return times;
}
