// Brings an engine to its steady state before the clock starts. V8 compiles what runs often while it runs, and on a small machine it
// takes a core for that which the engine needs too: the first few hundred steps of a small model take up to three times as long.

import { setImmediate } from 'node:timers/promises';
import type { Engine } from '../../engine/engine.js';
import { lastOf } from '../../generation/prefill.js';

/** Milliseconds, as far as a single step is not longer. */
const SETTLE_MS = 400;

/** Runs decode steps on a cache of its own. @throws what `signal` aborts with */
export async function settle(engine: Engine, signal: AbortSignal): Promise<void> {
  const cache = engine.newCache();
  const start = performance.now();
  try {
    while (performance.now() - start < SETTLE_MS) {
      await setImmediate();
      signal.throwIfAborted();
      if (cache.length === engine.config.nPositions) {
        cache.truncate(0);
      }
      engine.forward(lastOf([0]), cache);
    }
  } finally {
    cache.dispose();
  }
}
