// Prefill: fills the cache with a prompt's keys and values and gives the logits that follow. It runs in chunks, so that
// progress shows, an abort is noticed, the memory of the attention scores is bounded, and others may run between them. Each
// chunk sees the cache of those before it, so the result is that of one whole pass. Knows nothing of text, of where known
// keys come from or of whose turn it is.

import { setImmediate } from 'node:timers/promises';
import type { Engine, Pass } from '../engine/engine.js';
import type { KvCache } from '../engine/kv-cache.js';
import { checkLogits } from '../sampling/finite.js';
import type { Restored, ReuseSource, Sequence } from './sequence.js';

/** Ids in one pass of prefill. */
const CHUNK = 256;

export interface PrefillResult {
  /** The caller's to dispose; null: no cache was wanted. */
  readonly cache: KvCache | null;
  /** Not borrowed from the engine, so they may be kept; null: aborted. */
  readonly logits: Float32Array | null;
}

/**
 * Runs the part of a sequence's prompt that the prompt cache does not know, and gives the prompt cache the result.
 * @throws KvgenError for logits that are not numbers
 */
export function prefillPrompt(engine: Engine, sequence: Sequence): Promise<PrefillResult> {
  return runWhole(new PromptPrefill(engine, sequence), sequence);
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
  const { logits } = await runWhole(new Reprefill(engine, sequence, cache), sequence);
  return logits;
}

async function runWhole(prefill: Prefill, sequence: Sequence): Promise<PrefillResult> {
  try {
    while (prefill.left > 0) {
      await setImmediate(); // native calls block the event loop: signals are noticed here
      if (sequence.aborted) {
        break;
      }
      prefill.advance(CHUNK);
    }
    return prefill.end();
  } catch (error) {
    prefill.dispose();
    throw error;
  }
}

interface PrefillStart {
  readonly ids: readonly number[];
  /** Holds as many of them as are known; null: no cache is wanted. */
  readonly cache: KvCache | null;
  /** Those that follow the last of them, where all are known. */
  readonly logits?: Float32Array | null;
  /** Receives the logits that follow each of them, in order. */
  readonly onLogits?: ((logits: Float32Array) => void) | undefined;
}

/** Some ids on their way into a cache. */
export abstract class Prefill {
  readonly ids: readonly number[];
  readonly cache: KvCache | null;
  protected readonly sequence: Sequence;
  /** Those that follow the last id. */
  protected logits: Float32Array | null;
  /** Milliseconds that its passes have taken so far. */
  protected ms = 0;
  readonly #engine: Engine;
  readonly #onLogits: ((logits: Float32Array) => void) | undefined;
  #done: number;

  constructor(engine: Engine, sequence: Sequence, { ids, cache, logits = null, onLogits }: PrefillStart) {
    this.#engine = engine;
    this.sequence = sequence;
    this.ids = [...ids]; // those of a sequence grow
    this.cache = cache;
    this.logits = logits;
    this.#onLogits = onLogits;
    this.#done = cache?.length ?? 0;
  }

  /** Ids that were run, or known. */
  get done(): number {
    return this.#done;
  }

  get left(): number {
    return this.ids.length - this.#done;
  }

  /**
   * Runs the next ids in one pass.
   * @param most how many; without a cache all are run, unless the logits of each are asked for
   * @returns how many
   */
  advance(most: number): number {
    const start = performance.now();
    const wantsAll = this.#onLogits !== undefined;
    const count = this.cache === null && !wantsAll ? this.left : Math.min(most, this.left);
    for (const logits of this.#engine.forward(this.#pass(count, wantsAll), this.cache)) {
      this.logits = logits;
      this.#onLogits?.(logits);
    }
    this.#done += count;
    this.logits = this.left === 0 ? (this.logits?.slice() ?? null) : null; // borrowed from the engine, and a prompt's are kept
    this.ms += performance.now() - start;
    this.sequence.options.onPrefill?.(this.#done, this.ids.length);
    return count;
  }

  /** To be called once, when all ids were run or the signal has aborted. The cache is the caller's from then on. */
  end(): PrefillResult {
    const { cache, logits, sequence } = this;
    this.ended();
    sequence.ran(cache?.length ?? 0);
    if (cache !== null) {
      cache.expected = cache.length + sequence.stepsLeft;
    }
    return { cache, logits };
  }

  /** Frees the cache, where it does not come to its end. */
  dispose(): void {
    this.cache?.dispose();
  }

  /** What is to be done with the result. */
  protected abstract ended(): void;

  /** Without a cache each pass runs all ids. */
  #pass(count: number, wantsAll: boolean): Pass {
    const from = this.#done;
    const ids = this.cache === null ? this.ids : this.ids.slice(from, from + count);
    const first = this.cache === null ? from : 0;
    return wantsAll ? { ids: [ids], wanted: Array.from({ length: count }, (_, t) => first + t) } : lastOf(ids);
  }
}

/** Of a prompt, or of what the prompt cache does not know of it. */
export class PromptPrefill extends Prefill {
  readonly #reused: number;
  readonly #reusedFrom: ReuseSource | null;
  readonly #restoreMs: number;
  readonly #isKnown: boolean;

  constructor(engine: Engine, sequence: Sequence) {
    const start = performance.now();
    const { ids, options } = sequence;
    const known = restore(sequence);
    const cache = options.cache ? (known?.cache ?? engine.newCache()) : null;
    super(engine, sequence, { ids, cache, logits: known?.logits ?? null, onLogits: options.onPromptLogits });
    this.#reused = this.done;
    this.#reusedFrom = known?.source ?? null;
    this.#isKnown = this.logits !== null;
    this.#restoreMs = performance.now() - start;
  }

  protected override ended(): void {
    const { cache, logits, ids, sequence } = this;
    const { maxTokens, promptCache } = sequence.options;
    const promptMs = logits === null ? null : this.#restoreMs + this.ms;
    sequence.prefilled({ reusedTokens: this.#reused, reusedFrom: this.#reusedFrom, promptMs });
    if (logits !== null && maxTokens === 0) {
      checkLogits(logits); // else the sampler does
    }
    if (logits !== null && cache !== null && !this.#isKnown) {
      promptCache?.keep({ promptIds: ids, cache, logits, reused: this.#reused, computeMs: this.ms });
    }
  }
}

/** Of a sequence at the end of its context, which is shortened for it. */
export class Reprefill extends Prefill {
  /** @param cache empty; null: no cache is wanted */
  constructor(engine: Engine, sequence: Sequence, cache: KvCache | null) {
    sequence.shorten();
    super(engine, sequence, { ids: sequence.window, cache });
  }

  protected override ended(): void {}
}

/** What is known of a prompt; nothing where the logits of the whole prompt are asked for. */
function restore({ ids, options }: Sequence): Restored | null {
  const { cache, promptCache, onPromptLogits } = options;
  return cache && onPromptLogits === undefined ? (promptCache?.restore(ids) ?? null) : null;
}

/** A pass over one sequence that asks for the logits after its last id. */
export function lastOf(ids: readonly number[]): Pass {
  return { ids: [ids], wanted: [ids.length - 1] };
}

export function prefillChunks(ids: readonly number[]): (readonly number[])[] {
  return Array.from({ length: Math.ceil(ids.length / CHUNK) }, (_, i) => ids.slice(i * CHUNK, (i + 1) * CHUNK));
}
