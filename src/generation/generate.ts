// The loop: prefill the prompt, then decode one token at a time, each sampled from the logits of the pass before.
// Yields ids. Knows nothing of text, streams or TF.js: it is given the engine and the sampler.

import type { Engine } from '../engine/engine.js';
import type { KvCache } from '../engine/kv-cache.js';
import type { Sampler } from '../sampling/sampler.js';
import { DecodeSteps } from './decode-steps.js';
import { EventLoop } from './event-loop.js';
import { keepText } from './keep-text.js';
import { lastOf, prefillPrompt, reprefill } from './prefill.js';
import { type Ending, type FinishReason, type GeneratedId, Sequence, type SequenceOptions } from './sequence.js';

/**
 * Generates ids until an id of `stopIds`, `isStopped`, `maxTokens`, the end of the context or an abort ends the text.
 * @param promptIds 1 … nCtx − 1 ids
 * @yields each id as it is sampled
 */
export async function* generate(
  engine: Engine,
  sampler: Sampler,
  promptIds: readonly number[],
  options: SequenceOptions,
): AsyncGenerator<GeneratedId, Ending> {
  const sequence = new Sequence(engine.config, promptIds, options);
  const run = new SequenceRun(engine, sequence);
  const eventLoop = new EventLoop();
  try {
    let logits = await run.prefill();
    for (;;) {
      const next = sequence.choose(logits, sampler, engine.numTensors());
      if (typeof next === 'string') {
        return run.end(next);
      }
      yield next;
      if (eventLoop.due) {
        await eventLoop.run();
      }
      const { end } = sequence;
      if (end !== null) {
        return run.end(end);
      }
      logits = sequence.full ? await run.reprefill() : run.step(); // no await between a step and the choice: borrowed logits
    }
  } finally {
    run.dispose();
  }
}

/** One generation: its sequence and its cache. */
class SequenceRun {
  readonly #engine: Engine;
  readonly #sequence: Sequence;
  readonly #steps: DecodeSteps;
  /** null: uncached, so each step is a pass over all ids with no past. */
  #cache: KvCache | null = null;

  constructor(engine: Engine, sequence: Sequence) {
    this.#engine = engine;
    this.#sequence = sequence;
    this.#steps = new DecodeSteps(engine);
  }

  async prefill(): Promise<Float32Array | null> {
    const { cache, logits } = await prefillPrompt(this.#engine, this.#sequence);
    this.#cache = cache;
    return logits;
  }

  /** Goes on at the end of the context; null when aborted. */
  async reprefill(): Promise<Float32Array | null> {
    if (this.#sequence.aborted) {
      return null;
    }
    this.#cache?.truncate(0);
    return reprefill(this.#engine, this.#sequence, this.#cache);
  }

  /** Runs the newest id, unless a draft has done so. The logits are borrowed from the engine; null when aborted. */
  step(): Float32Array | null {
    const sequence = this.#sequence;
    if (sequence.aborted) {
      return null;
    }
    const known = sequence.nextOfDraft();
    if (known !== null) {
      return known;
    }
    const cache = this.#cache;
    const [logits] =
      cache === null ? this.#engine.forward(lastOf(sequence.window), null) : this.#steps.run([sequence], cache);
    return logits as Float32Array;
  }

  end(reason: FinishReason): Ending {
    if (this.#cache !== null) {
      keepText(this.#engine, this.#sequence, this.#cache, 0);
    }
    return this.#sequence.ending(reason);
  }

  dispose(): void {
    this.#cache?.dispose();
    this.#sequence.dispose();
  }
}
